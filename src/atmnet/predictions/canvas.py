"""A picture large enough to draw on, and a legend below it."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from atmnet.data import to_8_bits
from atmnet.predictions.colours import Colour
from atmnet.predictions.lettering import Font, cut

TINY = 64
"""Longest side up to which an image is pixel art: enlarged without smoothing."""

_LEAST_SIDE = 768
"""Longer side to which smaller pictures are enlarged, about."""

_LEAST_WIDTH = 240
"""Of a picture with its legend."""

_PAPER = (255, 255, 255)
_INK = (27, 29, 33)
_FAINT = (99, 103, 111)

_MOST_ENTRIES = 30


def enlarged(image: Image.Image) -> tuple[Image.Image, int]:
    """``image`` as RGB, enlarged by a whole factor if it is small, and that factor."""
    image = to_8_bits(image)
    factor = max(1, round(_LEAST_SIDE / max(image.size)))
    smooth = Image.Resampling.NEAREST if max(image.size) <= TINY else Image.Resampling.BICUBIC
    return image.resize((image.width * factor, image.height * factor), smooth), factor


def font_for(image: Image.Image) -> Font:
    """A font that is legible when the picture is seen as a whole."""
    return ImageFont.load_default(max(13, round(max(image.size) / 48)))


def with_legend(image: Image.Image, entries: Sequence[tuple[Colour, str, str]], font: Font) -> Image.Image:
    """``image`` with a strip below it: a patch of colour, a name and a remark for each entry, in columns."""
    width = max(image.width, _LEAST_WIDTH)
    size = round(font.getlength("nn"))
    gap, leading = size, round(1.7 * size)
    texts = [
        (cut(name, font, round(width - 4 * gap - font.getlength(f" {remark}"))), remark)
        for _, name, remark in entries[:_MOST_ENTRIES]
    ]
    wide = [2 * gap + round(font.getlength(f"{name} {remark}")) for name, remark in texts]
    if sum(wide) + gap * (len(wide) + 1) <= width:
        columns, lefts = len(wide), [gap + sum(wide[:i]) + i * gap for i in range(len(wide))]
    else:
        columns = max(1, (width - gap) // (max(wide) + gap))
        lefts = [gap + i * (max(wide) + gap) for i in range(columns)]
    more = len(entries) - len(texts)
    rows = (-(-len(texts) // columns) if columns else 0) + (more > 0)
    sheet = Image.new("RGB", (width, image.height + (rows * leading + gap if rows else 0)), _PAPER)
    sheet.paste(image, ((width - image.width) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    top = image.height + gap // 2 + leading // 2
    for i, (name, remark) in enumerate(texts):
        left, middle = lefts[i % columns], top + i // columns * leading
        draw.rectangle((left, middle - size // 2, left + size, middle - size // 2 + size), fill=entries[i][0])
        text = left + round(1.5 * size)
        draw.text((text, middle), name, font=font, fill=_INK, anchor="lm")
        draw.text((text + font.getlength(f"{name} "), middle), remark, font=font, fill=_FAINT, anchor="lm")
    if more > 0:
        draw.text((gap, top + (rows - 1) * leading), f"and {more} more", font=font, fill=_FAINT, anchor="lm")
    return sheet
