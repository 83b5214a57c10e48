"""How a command ends: signals that ask it to, and errors that nobody expected."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from atmnet_cli.errors import first_line


class Failure(Exception):
    """An error that nobody expected, its cause, which ended the command; the message says how to go on."""


class Terminated(KeyboardInterrupt):
    """A scheduler or the system asked the command to end by the signal ``number``."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """A context in which SIGTERM and SIGHUP raise :class:`Terminated`, so that everything that is open is closed.

    Under torchrun they end the process at once, as it waits for others in functions that no exception interrupts.
    """
    before = {}
    if threading.current_thread() is threading.main_thread() and "TORCHELASTIC_RUN_ID" not in os.environ:
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores SIGHUP
                before[number] = signal.signal(number, _raise_terminated)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_terminated(number: int, _: FrameType | None) -> None:
    raise Terminated(number)


def failure_text(error: BaseException) -> str:
    """What an unexpected error was, in a line, and what helps against it if that is known."""
    text = str(error)
    lost = "DataLoader worker" in text and ("killed by signal" in text or "exited unexpectedly" in text)
    if lost:
        return (
            "a loader process was killed, as the system does where memory is short, or crashed; lower data.workers or "
            f"batch_size ({first_line(error)})"
        )
    in_worker = text.startswith("Caught ") and "DataLoader worker" in text.partition("\n")[0]
    summary = text.rstrip().splitlines()[-1] if in_worker else f"{type(error).__name__}: {first_line(error)}"
    if _is_lack_of_memory(error):
        return f"out of memory; lower batch_size, the size of the images or data.workers ({summary})"
    return summary


def _is_lack_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(words in text for words in ("out of memory", "can't allocate memory", "cannot allocate memory"))
    )
