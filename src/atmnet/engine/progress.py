"""Progress on stderr: a bar on a terminal, a line every few seconds in a pipe or file."""

import sys
import time
from typing import TextIO

from tqdm import tqdm

from atmnet_cli.printing import write_line

_SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Shows progress from ``done`` to ``total``; shows nothing if ``show`` is false, as in all processes but one."""

    def __init__(self, label: str, total: int, done: int = 0, show: bool = True, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        self._label, self._total, self._done, self._stream = label, total, done, stream
        self._prints_lines = show and not stream.isatty()
        self._last = time.monotonic()
        self._bar = None
        if show and stream.isatty():
            self._bar = tqdm(total=total, initial=done, desc=label, file=stream, dynamic_ncols=True, leave=False)

    def due(self) -> bool:
        """Whether :meth:`advance` should get a text; values that are costly to compute are needed only then."""
        if self._bar is not None:
            return time.monotonic() - self._last > 0.5
        return self._prints_lines and time.monotonic() - self._last > _SECONDS_BETWEEN_LINES

    def advance(self, text: str | None = None) -> None:
        """Count one more as done; pass ``text`` to show beside the count if :meth:`due`."""
        self._done += 1
        if self._bar is not None:
            self._bar.update()
        if text is None:
            return
        self._last = time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix_str(text)
        else:
            self._stream.write(f"{self._label} {self._done}/{self._total} {text}\n")
            self._stream.flush()

    def print_line(self, line: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            with self._bar.external_write_mode(file=self._stream):
                write_line(line, self._stream)
        elif self._prints_lines:
            write_line(line, self._stream)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
