"""Text in images: in Pillow's built-in font, and in installed fonts for the characters that it lacks."""

import unicodedata
from functools import cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

from atmnet.predictions.fonts import font_file, has_glyph
from atmnet_cli.printing import printable


class Lettering:
    """Draws text of one size. A character that no installed font has is drawn as a replacement box.

    Args:
        size: Size of the text in pixels.

    Attributes:
        height: Distance in pixels between the highest and the lowest point of Latin letters.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._ascent, self._descent = _built_in(size).getmetrics()
        _, top, _, bottom = _built_in(size).getbbox("Ág|")
        self.height = bottom - top

    def length(self, line: str) -> float:
        """Width of ``line`` in pixels."""
        return sum(font.getlength(part) for font, part in self._parts(line))

    def draw(
        self,
        canvas: ImageDraw.ImageDraw,
        position: tuple[float, float],
        line: str,
        fill: tuple[int, int, int],
        anchor: str = "la",
    ) -> None:
        """Draw ``line`` on ``canvas`` at ``position``.

        Args:
            canvas: What to draw on.
            position: x and y of the anchor in pixels.
            line: The text.
            fill: Its colour.
            anchor: 'l' or 'm' for the left end or the middle at x, then 'a' or 'm' for the top or the middle at y.
        """
        x, y = position
        if anchor[0] == "m":
            x -= self.length(line) / 2
        baseline = y + (self._ascent if anchor[1] == "a" else (self._ascent - self._descent) / 2)
        for font, part in self._parts(line):
            canvas.text((x, baseline), part, font=font, fill=fill, anchor="ls")
            x += font.getlength(part)

    def shorten(self, line: str, width: int) -> str:
        """``line`` if it fits ``width`` pixels, else as much of its start as fits together with an ellipsis."""
        line = unicodedata.normalize("NFC", printable(" ".join(line.split())))
        if self.length(line) <= width:
            return line
        while line and self.length(line + "…") > width:
            line = line[:-1]
        return line.rstrip() + "…"

    def _parts(self, line: str) -> list[tuple[ImageFont.FreeTypeFont, str]]:
        """Parts of ``line``, each with the font that has all its characters."""
        parts: list[tuple[Path | None, str]] = []
        for character in unicodedata.normalize("NFC", line):
            path = _font_for(character)
            if parts and (parts[-1][0] == path or unicodedata.combining(character)):
                parts[-1] = (parts[-1][0], parts[-1][1] + character)
            else:
                parts.append((path, character))
        return [(_built_in(self._size) if path is None else _font(path, self._size), part) for path, part in parts]


def _font_for(character: str) -> Path | None:
    """The file of the font that draws ``character``; None for the built-in font."""
    if character.isascii() or has_glyph(_built_in(16), character):
        return None
    return font_file(character)


@cache
def _built_in(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


@cache
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)
