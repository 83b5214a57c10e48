"""Contact sheets: a grid of thumbnails with captions, as one image."""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from atmnet.data import to_8_bits
from atmnet.predictions.canvas import TINY
from atmnet.predictions.lettering import Lettering

_BACKGROUND = (255, 255, 255)
_TILE = (243, 243, 239)
_TEXT = ((27, 29, 33), (99, 103, 111))
"""Colours of the first caption line and of the others."""

_MAX_LINES = 3


def contact_sheet(
    tiles: Sequence[tuple[Image.Image, list[str]]], columns: int | None = None, tile: int = 160
) -> Image.Image:
    """Thumbnails in a grid of squares, with up to three caption lines below each.

    Thumbnails keep their aspect ratio. Images of at most 64 pixels are enlarged by an integer factor without smoothing,
    others are resized smoothly. Captions that are too long end in an ellipsis.

    Args:
        tiles: (image, caption lines); at least one.
        columns: Tiles per row; by default the sheet is somewhat wider than high.
        tile: Side of a square in pixels; at least 16.

    Returns:
        The picture, RGB.

    Raises:
        ValueError: If there are no tiles, or ``columns`` or ``tile`` is too small.

    Examples:
        >>> from atmnet.predictions import contact_sheet
        >>> tile = Image.new("RGB", (40, 30), "orange")
        >>> contact_sheet([(tile, ["first"]), (tile, ["second", "97 %"])], columns=2, tile=100).mode
        'RGB'
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
    lines = min(max(len(captions) for _, captions in tiles), _MAX_LINES)
    gap = min(max(4, tile // 10), 24)
    size = min(max(11, round(tile / 11.5)), 18)
    lettering = Lettering(size)
    leading = round(size * 1.3)
    text = lines * leading + gap // 2 if lines else 0

    sheet = Image.new("RGB", (columns * (tile + gap) + gap, rows * (tile + text + gap) + gap), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for i, (image, captions) in enumerate(tiles):
        left, top = gap + i % columns * (tile + gap), gap + i // columns * (tile + text + gap)
        sheet.paste(_TILE, (left, top, left + tile, top + tile))
        thumbnail = _fit(to_8_bits(image), tile)
        sheet.paste(thumbnail, (left + (tile - thumbnail.width) // 2, top + (tile - thumbnail.height) // 2))
        for n, line in enumerate(captions[:_MAX_LINES]):
            position = (left, top + tile + gap // 2 + n * leading)
            lettering.draw(draw, position, lettering.shorten(line, tile), _TEXT[min(n, 1)])
    return sheet


def _fit(image: Image.Image, side: int) -> Image.Image:
    """``image`` resized to fit a square of ``side`` pixels; tiny images by an integer factor."""
    scale = side / max(image.size)
    if max(image.size) <= TINY and scale >= 1:
        return image.resize((image.width * int(scale), image.height * int(scale)), Image.Resampling.NEAREST)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)
