"""Finds installed fonts that have the characters which Pillow's built-in font lacks."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import ImageFont

_SIZE = 16
_UNASSIGNED = "\uffff"
"""A code point that no font has; it is drawn as the font's replacement glyph."""

_SPECIAL = ("bold", "italic", "oblique", "light", "thin", "black", "mono", "condensed", "serif", "display")
"""Parts of the names of fonts that are used only if no regular font has a character."""

_PLACEHOLDER = "LastResort"
"""Start of the names of fonts that draw a box for every character; macOS and matplotlib have one."""


def has_glyph(font: ImageFont.FreeTypeFont, character: str) -> bool:
    """Whether ``font`` draws ``character`` as something else than its replacement glyph."""
    pixels = bytes(font.getmask(character))
    return bool(pixels) and pixels != bytes(font.getmask(_UNASSIGNED))


@cache
def font_file(character: str) -> Path | None:
    """The installed font that is used for ``character``; None if no font has it.

    The font for a group of 256 code points is tried first, so that the fonts of the system are opened once for each
    group and not once for each character.
    """
    group_font = _font_of_group(character)
    if group_font is None or _file_has_glyph(group_font, character):
        return group_font
    return next((path for path in _installed_fonts() if _file_has_glyph(path, character)), None)


def _font_of_group(character: str) -> Path | None:
    """The font for the characters around ``character``, which is the first one that was asked for of its group."""
    group = ord(character) >> 8
    if group not in _group_fonts():
        _group_fonts()[group] = next((path for path in _installed_fonts() if _file_has_glyph(path, character)), None)
    return _group_fonts()[group]


@cache
def _group_fonts() -> dict[int, Path | None]:
    return {}


def _file_has_glyph(path: Path, character: str) -> bool:
    try:
        return has_glyph(ImageFont.truetype(path, _SIZE), character)
    except (OSError, ValueError):  # a damaged file, or one with bitmaps of another size
        return False


@cache
def _installed_fonts() -> tuple[Path, ...]:
    """All fonts of the system, and those that come with matplotlib if it is installed; regular ones first."""
    files = {
        path
        for folder in _folders()
        if folder.is_dir()
        for path in folder.rglob("*")
        if path.suffix.lower() in (".ttf", ".otf", ".ttc") and not path.stem.startswith(_PLACEHOLDER)
    }
    return tuple(sorted(files, key=lambda path: (any(part in path.stem.lower() for part in _SPECIAL), path.name)))


def _folders() -> Iterator[Path]:
    home = Path.home()
    if sys.platform == "win32":
        yield Path(os.environ.get("WINDIR", "C:/Windows"), "Fonts")
        yield Path(os.environ.get("LOCALAPPDATA", home / "AppData/Local"), "Microsoft/Windows/Fonts")
    elif sys.platform == "darwin":
        yield from (home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts"))
    else:
        yield Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share", "fonts")
        yield home / ".fonts"
        for folder in (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":"):
            yield Path(folder, "fonts")
    spec = importlib.util.find_spec("matplotlib")  # does not import it
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "mpl-data/fonts/ttf"
