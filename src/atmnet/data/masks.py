"""Decode masks in COCO's forms. H x W pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmnet.records import short
from atmnet_cli.errors import first_line

#: Upper limits of the length of a mask's outline, in pixels: memory and time are spent in proportion to it.
_MAX_OUTLINE, _MIN_OUTLINE = 4_000_000, 100_000


def decode_mask(segmentation: object, height: int, width: int) -> NDArray[np.uint8]:
    """Decode polygons or run lengths (a list of numbers, or compressed) to a mask (H, W) of 0 and 1.

    Raises:
        ValueError: If the segmentation is neither, has another size, or numbers that no mask of that size has.
    """
    from faster_coco_eval.core import mask

    if isinstance(segmentation, list):
        runs = mask.merge(mask.frPyObjects(checked_polygons(segmentation, height, width), height, width))
    elif isinstance(segmentation, dict) and {"size", "counts"} <= set(segmentation):
        size, counts = segmentation["size"], segmentation["counts"]
        if size != [height, width]:
            raise ValueError(f"its (height, width) is {short(size)}, but that of the image is {[height, width]}")
        if isinstance(counts, list):
            if any(type(count) is not int or not 0 <= count <= height * width for count in counts):
                raise ValueError("expected runs that are whole numbers of pixels of the image")
            if sum(counts) != height * width:
                raise ValueError(f"its runs sum to {sum(counts)} pixels; the image has {height * width}")
            runs = mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        elif isinstance(counts, str | bytes):
            runs = {"size": [height, width], "counts": counts}
        else:
            raise ValueError(f"its counts are {short(counts)}, expected a list or a string")
    else:
        raise ValueError("expected polygons or run lengths {size, counts}")
    try:
        return np.asarray(mask.decode(runs))
    except RuntimeError as error:  # a string that ends too early
        raise ValueError(f"its counts: {first_line(error)}") from error


def checked_polygons(segmentation: list[Any], height: int, width: int) -> list[list[float]]:
    """The polygons of a segmentation that have an area, each x, y, x, y, ...

    Raises:
        ValueError: If there is none, or they have numbers that no mask of that size has.
    """
    if any(not isinstance(points, list) or len(points) % 2 for points in segmentation):
        raise ValueError("expected polygons of at least three points x, y")
    polygons = [points for points in segmentation if len(points) >= 6]
    if not polygons:
        raise ValueError("expected polygons of at least three points x, y")
    longest = min(max(4 * height * width, _MIN_OUTLINE), _MAX_OUTLINE)
    if not sum(map(_outline, polygons)) <= longest:  # also if it is not a number
        raise ValueError(f"expected polygons of finite numbers whose outline is at most {longest} pixels long")
    return polygons


def _outline(points: list[float]) -> float:
    """The steps along a polygon's outline from pixel to pixel and point to point; NaN if its points are not numbers."""
    if not set(map(type, points)) <= {int, float}:
        return float("nan")
    try:
        corners = np.array(points, dtype=np.float64).reshape(-1, 2)
    except OverflowError:
        return float("inf")
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.abs(corners - np.roll(corners, 1, axis=0)).max(1).sum()) + len(corners)
