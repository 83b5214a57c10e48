"""Contact sheets: a grid of thumbnails with captions, as one image."""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from atmnet.data import to_8_bits
from atmnet.predictions.canvas import TINY
from atmnet.predictions.lettering import cut

_PAPER = (255, 255, 255)
_TILE = (243, 243, 239)
_INK = ((27, 29, 33), (99, 103, 111))
"""Of the first caption line, and of the others."""

_MOST_LINES = 3


def contact_sheet(
    tiles: Sequence[tuple[Image.Image, list[str]]], columns: int | None = None, tile: int = 160
) -> Image.Image:
    """Thumbnails side by side, each on a square of its own, with up to three caption lines under each.

    Nothing is distorted. Images of at most 64 pixels are enlarged by whole factors without smoothing; others are
    fitted smoothly. Captions that are too long end in an ellipsis.

    Args:
        tiles: (image, caption lines); at least one.
        columns: Tiles a row; default a sheet somewhat wider than high.
        tile: Side of a square in pixels; at least 16.

    Raises:
        ValueError: For no tiles, or ``columns`` or ``tile`` too small.
    """
    if not tiles:
        raise ValueError("tiles: got none, expected at least one")
    if columns is None:
        columns = math.ceil(math.sqrt(1.6 * len(tiles)))
    if columns < 1:
        raise ValueError(f"columns: got {columns}, expected at least 1")
    if tile < 16:
        raise ValueError(f"tile: got {tile}, expected at least 16 pixels")

    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    lines = min(max(len(captions) for _, captions in tiles), _MOST_LINES)
    gap = max(4, tile // 10)
    size = max(11, round(tile / 11.5))
    font = ImageFont.load_default(size)
    leading = round(size * 1.3)
    text = lines * leading + gap // 2 if lines else 0

    sheet = Image.new("RGB", (columns * (tile + gap) + gap, rows * (tile + text + gap) + gap), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (image, captions) in enumerate(tiles):
        left, top = gap + i % columns * (tile + gap), gap + i // columns * (tile + text + gap)
        sheet.paste(_TILE, (left, top, left + tile, top + tile))
        thumbnail = _fitted(to_8_bits(image), tile)
        sheet.paste(thumbnail, (left + (tile - thumbnail.width) // 2, top + (tile - thumbnail.height) // 2))
        for n, line in enumerate(captions[:_MOST_LINES]):
            place = (left, top + tile + gap // 2 + n * leading)
            draw.text(place, cut(line, font, tile), font=font, fill=_INK[min(n, 1)])
    return sheet


def _fitted(image: Image.Image, side: int) -> Image.Image:
    """``image`` as large as it fits a square of ``side``; tiny ones by a whole factor."""
    scale = side / max(image.size)
    if max(image.size) <= TINY and scale >= 1:
        return image.resize((image.width * int(scale), image.height * int(scale)), Image.Resampling.NEAREST)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)
