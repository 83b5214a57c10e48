"""Ctrl-C and a scheduler's SIGTERM as requests to stop after the current step; a second signal stops immediately."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

#: A signal handler, as :func:`signal.signal` takes and returns it.
_Handler = Callable[[int, FrameType | None], Any] | int | None


class Interrupted(KeyboardInterrupt):
    """Training stopped on request, with everything saved; the message says how to resume."""


class StopRequest:
    """A context in which the first SIGINT or SIGTERM only sets :attr:`requested`."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, _Handler] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
