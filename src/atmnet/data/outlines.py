"""Polygons x, y, x, y, ... in pixels: of ellipses, turned rectangles and masks, and their area."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Corners of the polygon that stands for an ellipse.
_CORNERS = 32


def polygon_area(points: Sequence[float]) -> float:
    """The area that a polygon encloses."""
    xs, ys = points[::2], points[1::2]
    return abs(sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))) / 2


def rectangle(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    """The corners of a rectangle."""
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> list[float]:
    """A polygon of 32 corners on an ellipse with the centre x, y."""
    angles = [2 * math.pi * i / _CORNERS for i in range(_CORNERS)]
    return [value for a in angles for value in (x + radius_x * math.cos(a), y + radius_y * math.sin(a))]


def turned(points: Sequence[float], degrees: float, x: float, y: float) -> list[float]:
    """A polygon turned clockwise, as seen in the picture, about the point x, y."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [
        value
        for px, py in zip(points[::2], points[1::2], strict=True)
        for value in (x + (px - x) * cos - (py - y) * sin, y + (px - x) * sin + (py - y) * cos)
    ]


def mask_outlines(mask: NDArray[np.bool_]) -> tuple[list[list[float]], list[list[float]]]:
    """The outlines of a mask (H, W) along the edges of its pixels: those of its parts, and those of the holes in them.

    Pixels that touch only at a corner belong to different parts.

    Examples:
        >>> mask_outlines(np.ones((2, 3), bool))
        ([[0.0, 0.0, 3.0, 0.0, 3.0, 2.0, 0.0, 2.0]], [])
    """
    padded = np.pad(mask, 1)
    edges: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # Each edge between a pixel of the mask and one outside, with the mask on its right as the picture is seen.
    for inside, outside, start, end in (
        (padded[1:-1, 1:-1], padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 1:-1], padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[1:-1, 1:-1], padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, 1:-1], padded[1:-1, :-2], (0, 1), (0, 0)),
    ):
        for y, x in np.argwhere(inside & ~outside).tolist():
            edges.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))
    parts: list[list[float]] = []
    holes: list[list[float]] = []
    while edges:
        first = point = next(iter(edges))
        corners: list[tuple[int, int]] = []
        direction = (0, 0)
        while True:
            following = edges[point]
            # Where pixels touch at a corner there are two ways on; that to the right stays with the same pixel.
            right = (point[0] - direction[1], point[1] + direction[0])
            chosen = right if len(following) > 1 and right in following else following[0]
            following.remove(chosen)
            if not following:
                del edges[point]
            step = (chosen[0] - point[0], chosen[1] - point[1])
            if step != direction:
                corners.append(point)
            point, direction = chosen, step
            if point == first:
                break
        if len(corners) > 4 and _is_straight(corners[-1], corners[0], corners[1]):
            del corners[0]
        turn = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, [*corners[1:], corners[0]], strict=True))
        (parts if turn > 0 else holes).append([float(value) for corner in corners for value in corner])
    return parts, holes


def _is_straight(before: tuple[int, int], corner: tuple[int, int], after: tuple[int, int]) -> bool:
    return before[0] == corner[0] == after[0] or before[1] == corner[1] == after[1]
