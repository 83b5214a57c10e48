"""Text in images, in Pillow's built-in font."""

import unicodedata

from PIL import ImageFont

from atmnet_cli.printing import printable

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def shorten(line: str, font: Font, width: int) -> str:
    """``line`` if it fits ``width`` pixels, else as much of its beginning as fits together with an ellipsis."""
    line = drawable(printable(" ".join(line.split())), font)
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"


def drawable(line: str, font: Font) -> str:
    """``line`` in characters that the font has: without accents, and with ? for each other character it lacks."""
    if line.isascii():
        return line
    missing_glyph = bytes(font.getmask("\uffff"))
    plain = "".join(c for c in unicodedata.normalize("NFKD", line) if not unicodedata.combining(c))
    return "".join(c if c.isascii() or bytes(font.getmask(c)) != missing_glyph else "?" for c in plain)
