"""Text in pictures, with Pillow's own font."""

import unicodedata

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def cut(line: str, font: Font, width: int) -> str:
    """``line``, or as much of its beginning as fits ``width`` with an ellipsis."""
    line = drawable(" ".join(line.split()), font)
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"


def drawable(line: str, font: Font) -> str:
    """``line`` without accents that Pillow's font lacks, and a question mark for other characters that it lacks."""
    if line.isascii():
        return line
    box = bytes(font.getmask("\uffff"))
    plain = "".join(c for c in unicodedata.normalize("NFKD", line) if not unicodedata.combining(c))
    return "".join(c if c.isascii() or bytes(font.getmask(c)) != box else "?" for c in plain)
