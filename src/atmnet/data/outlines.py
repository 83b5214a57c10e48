"""Polygons x, y, x, y, ... in pixels: of ellipses and turned rectangles, and their area."""

import math
from collections.abc import Sequence

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
