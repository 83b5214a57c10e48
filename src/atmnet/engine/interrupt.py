"""Ctrl-C, a scheduler's SIGTERM and the end of a terminal as requests to stop after the current step.

A second signal stops immediately.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: A signal handler, as :func:`signal.signal` takes and returns it.
_Handler = Callable[[int, FrameType | None], Any] | int | None


class Interrupted(KeyboardInterrupt):
    """Training stopped on request, with everything saved; the message says how to resume."""


class StopRequest:
    """A context in which the first SIGINT, SIGTERM or SIGHUP only sets :attr:`requested`."""

    def __init__(self) -> None:
        self.requested = False
        self._message: str | None = None
        self._previous: dict[int, _Handler] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            numbers: list[int] = [signal.SIGINT, signal.SIGTERM]
            if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
                numbers.append(signal.SIGHUP)
            for number in numbers:
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @contextmanager
    def at_once(self, message: str) -> Iterator[None]:
        """A context in which a request raises :class:`Interrupted` immediately, since all is saved."""
        if self.requested:
            raise Interrupted(message)
        self._message = message
        try:
            yield
        finally:
            self._message = None

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        self._restore()
        if self._message is not None:
            raise Interrupted(self._message)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
