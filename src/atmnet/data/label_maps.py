"""Read label maps: pictures whose values are labels. H x W pixels."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmnet.data.images import UnreadableImage, open_picture

#: By how much Pillow multiplies grey of few bits, so that the lightest becomes white.
_SCALES = {"L;2": 85, "L;4": 17}


def read_label_map(path: Path) -> NDArray[np.int32]:
    """The labels (H, W) in a PNG file: grey values of 1, 2, 4, 8 or 16 bits, or numbers of a palette's colours.

    Raises:
        UnreadableImage: If the file is damaged, has another format, which may have changed the labels, or has colours.
    """
    try:
        with open_picture(path) as image:
            tiles: list[Any] = getattr(image, "tile", [])
            scale = _SCALES.get(str(tiles[0][3]), 1) if tiles else 1
            labels = np.asarray(image)
    except UnreadableImage as error:
        raise UnreadableImage(f"its label map: {error}") from error
    if image.format != "PNG":
        raise UnreadableImage(f"its label map has the format {image.format}; expected PNG, which keeps every label")
    if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
        raise UnreadableImage(f"its label map has the mode {image.mode}; expected a grey or palette picture")
    return labels.astype(np.int32) // scale
