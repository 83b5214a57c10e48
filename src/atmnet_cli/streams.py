"""Standard streams that are closed, cut off or full: what is printed there is lost, but neither the work nor an error.

``2>&-`` closes one, ``| head -1`` cuts one off, and a terminal that is gone or a full disk fails at each line.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from atmnet_cli.errors import UserError
from atmnet_cli.printing import write_line

#: Names of the streams that were closed when the command began.
_closed: set[str] = set()


def open_closed_streams() -> set[str]:
    """Open the null device in the place of closed streams, so that no file that is opened later takes their numbers.

    Returns:
        The names of the streams that were closed: 'stdin', 'stdout', 'stderr'.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            handle = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
        setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115 - for the whole process
        _closed.add(name)
    return set(_closed)


def print_error(text: str, colour: str = "") -> None:
    """Print lines on stderr or, if that is closed or fails, on stdout, in a colour of :mod:`atmnet_cli.printing`."""
    for name in ("stderr", "stdout"):
        stream = getattr(sys, name)
        if name in _closed or stream is None or getattr(stream, "is_broken", False):
            continue
        try:
            for part in text.split("\n"):
                write_line(part, stream, colour)
        except (OSError, ValueError):
            continue
        if not getattr(stream, "is_broken", False):
            return


@contextlib.contextmanager
def durable_streams(*, stdout_may_fail: bool) -> Iterator[None]:
    """A context in which writing to stderr never fails.

    Args:
        stdout_may_fail: Whether the same holds for stdout; else a failure there is a UserError, or a BrokenPipeError.
    """
    before = sys.stdout, sys.stderr
    for name, may_fail in (("stdout", stdout_may_fail), ("stderr", True)):
        if not isinstance(getattr(sys, name), _Stream):
            setattr(sys, name, _Stream(name, getattr(sys, name), may_fail))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Stream:
    """Passes on what is written to a stream until that fails; everything after that is dropped."""

    def __init__(self, name: str, stream: TextIO | None, may_fail: bool) -> None:
        self._name, self._stream, self._may_fail = name, stream, may_fail
        self.is_broken = stream is None

    def write(self, text: str) -> int:
        self._try("write", text)
        return len(text)

    def flush(self) -> None:
        self._try("flush")

    def isatty(self) -> bool:
        return self._stream is not None and not self.is_broken and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, method: str, *arguments: str) -> None:
        if self._stream is None:
            return
        try:
            getattr(self._stream, method)(*arguments)
        except OSError as error:
            is_new, self.is_broken = not self.is_broken, True
            self._drop_the_rest()
            if self._may_fail:
                if is_new:
                    print_error(f"atmnet: {self._name}: {error.strerror}; the command goes on without it")
            elif isinstance(error, BrokenPipeError):
                raise
            else:
                raise UserError(f"{self._name}: {error.strerror}; the results are printed there") from error

    def _drop_the_rest(self) -> None:
        """Let what is still in the buffer go to the null device; else it would fail again when the interpreter ends."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            handle = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(handle, self._stream.fileno())  # type: ignore[union-attr]
            finally:
                os.close(handle)
