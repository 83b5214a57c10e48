"""What a person sees while it runs: a live bar on a terminal, a line every few seconds in a pipe."""

import sys
import time
from typing import TextIO

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Counts to ``total``; silent where ``show`` is false (other processes than the first)."""

    def __init__(self, label: str, total: int, done: int = 0, show: bool = True, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        self._label, self._total, self._done, self._stream = label, total, done, stream
        self._lines = show and not stream.isatty()
        self._last = time.monotonic()
        self._bar = None
        if show and stream.isatty():
            self._bar = tqdm(total=total, initial=done, desc=label, file=stream, dynamic_ncols=True, leave=False)

    def due(self) -> bool:
        """Whether what :meth:`advance` shows would be seen: costly values need computing only then."""
        if self._bar is not None:
            return time.monotonic() - self._last > 0.5
        return self._lines and time.monotonic() - self._last > _SECONDS_BETWEEN_LINES

    def advance(self, text: str | None = None) -> None:
        """One more is done; ``text``, given when :meth:`due`, says how it goes."""
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

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        elif self._lines:
            self._stream.write(line + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
