"""Print lines in which names occur that anybody may have chosen: of files, folders, classes and metadata."""

import json
import os
import sys
import unicodedata
from typing import TextIO

#: Colours of terminals: of notes, yellow, and of errors, red.
NOTE, ERROR = "33", "31"
#: Invisible characters that words of some languages need.
_JOINERS = "\u200c\u200d"
#: Categories of characters that are no text: controls such as escape sequences, bytes that are not UTF-8, line breaks.
_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""``text`` on one line, with escapes like ``\u001b`` for controls, marks of direction, and what cannot be encoded.

    The escapes are JSON's, so that a line of JSON still says the same. Names of files that are not UTF-8 contain lone
    surrogates such as ``\udce9`` for the byte E9.
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(json.dumps(c)[1:-1] if _is_no_text(c) else c for c in text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in text)
    return text


def print_line(line: str, error: bool = False) -> None:
    """Print a line to stdout, or to stderr if ``error``, as :func:`printable` shows it."""
    write_line(line, sys.stderr if error else sys.stdout, NOTE if error else "")


def write_line(line: str, stream: TextIO | None, colour: str = "") -> None:
    """Write a line to a stream, if it is open, as :func:`printable` shows it, in a colour if the stream takes it."""
    if stream is not None:  # None if the shell has closed it
        text = printable(line, getattr(stream, "encoding", None) or "utf-8")
        stream.write((f"\x1b[{colour}m{text}\x1b[0m" if colour and text and _takes_colour(stream) else text) + "\n")
        stream.flush()


def _takes_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal with colours, and the user has not switched them off (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def print_lines(text: str) -> None:
    """Print a text of several lines to stdout; no name in it may contain a line break."""
    for line in text.split("\n"):
        print_line(line)


def _is_no_text(character: str) -> bool:
    category = unicodedata.category(character)
    return category in _NO_TEXT or (category == "Cf" and character not in _JOINERS)
