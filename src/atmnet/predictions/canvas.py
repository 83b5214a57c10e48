"""Resizes an image to draw on, and adds a legend below it."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from atmnet.data import to_8_bits
from atmnet.predictions.colours import Colour
from atmnet.predictions.lettering import Lettering

TINY = 64
"""Images whose longer side has at most this many pixels are enlarged without smoothing."""

_MIN_SIDE = 768
"""Approximate length in pixels to which the longer side of a smaller image is enlarged."""

_MIN_WIDTH = 240
"""Minimum width in pixels of an image with a legend."""

_BACKGROUND = (255, 255, 255)
_TEXT = (27, 29, 33)
_MUTED_TEXT = (99, 103, 111)

_MAX_ENTRIES = 30


def scaled(image: Image.Image, side: int | None = None) -> tuple[Image.Image, float]:
    """``image`` as 8-bit RGB in the size to draw on, and the factor by which it was resized.

    Args:
        image: The image, of any mode.
        side: Length in pixels of the longer side of the result. Default: large images keep their size, and small ones
            are enlarged by an integer factor.
    """
    image = to_8_bits(image)
    factor = max(1, round(_MIN_SIDE / max(image.size))) if side is None else side / max(image.size)
    if factor < 1:
        smooth = Image.Resampling.LANCZOS
    else:
        smooth = Image.Resampling.NEAREST if max(image.size) <= TINY else Image.Resampling.BICUBIC
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, smooth), factor


def lettering_for(image: Image.Image) -> Lettering:
    """Text of a size that is legible when the whole image is on the screen; for a strip of pixels, a small one."""
    return Lettering(max(13, round(min(max(image.size) / 48, min(image.size) / 6))))


def with_legend(image: Image.Image, entries: Sequence[tuple[Colour, str, str]], lettering: Lettering) -> Image.Image:
    """``image`` with a legend below it: for each entry (colour, name, remark) a patch of the colour and both texts."""
    width = max(image.width, _MIN_WIDTH)
    size = round(lettering.length("nn"))
    gap, leading = size, round(1.7 * size)
    texts = [
        (lettering.shorten(name, round(width - 4 * gap - lettering.length(f" {remark}"))), remark)
        for _, name, remark in entries[:_MAX_ENTRIES]
    ]
    entry_widths = [2 * gap + round(lettering.length(f"{name} {remark}")) for name, remark in texts]
    if sum(entry_widths) + gap * (len(entry_widths) + 1) <= width:
        columns = len(entry_widths)
        lefts = [gap + sum(entry_widths[:i]) + i * gap for i in range(columns)]
    else:
        columns = max(1, (width - gap) // (max(entry_widths) + gap))
        lefts = [gap + i * (max(entry_widths) + gap) for i in range(columns)]
    hidden = len(entries) - len(texts)
    rows = (-(-len(texts) // columns) if columns else 0) + (hidden > 0)
    sheet = Image.new("RGB", (width, image.height + (rows * leading + gap if rows else 0)), _BACKGROUND)
    sheet.paste(image, ((width - image.width) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    top = image.height + gap // 2 + leading // 2
    for i, (name, remark) in enumerate(texts):
        left, middle = lefts[i % columns], top + i // columns * leading
        draw.rectangle((left, middle - size // 2, left + size, middle - size // 2 + size), fill=entries[i][0])
        text = left + round(1.5 * size)
        lettering.draw(draw, (text, middle), name, _TEXT, "lm")
        lettering.draw(draw, (text + lettering.length(f"{name} "), middle), remark, _MUTED_TEXT, "lm")
    if hidden > 0:
        lettering.draw(draw, (gap, top + (rows - 1) * leading), f"and {hidden} more", _MUTED_TEXT, "lm")
    return sheet
