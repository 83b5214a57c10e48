"""Dashed curves that keep a distance from each other, drawn with integers, so that all machines get the same bytes.

Lengths are pixels; positions are (row, column) in units of 1 / UNIT of a pixel.

Shapes: H x W pixels of a picture, which is drawn FINE times as large; T points of a curve, one for each pixel of its
length.
"""

import functools
import math
import random

import numpy as np
from numpy.typing import NDArray

#: Length of a dash and of the gap after it, in pixels; a stroke of STROKE pixels covers a part of the gap.
DASH, GAP = 3, 2
STROKE = 1
#: Distance between the pixels of two curves' centre lines, and distance of a centre line from the picture's edge.
SEPARATION, MARGIN = 5, 3
#: Pixels of the drawing for each pixel of the picture, along an axis.
FINE = 4

UNIT = 4096
#: Directions of a full turn. Their vectors are rounded to whole units: the last bit of a cosine does not matter.
_TURN = 256
_STEPS = [
    (round(UNIT * math.sin(2 * math.pi * i / _TURN)), round(UNIT * math.cos(2 * math.pi * i / _TURN)))
    for i in range(_TURN)
]
#: Largest change of direction for each pixel, so that a curve's radius is at least 5 pixels; and how it varies.
_BEND, _BEND_CHANGES = 8, (-2, -1, 0, 1, 2)
#: Distance at which a curve turns away from an edge or another curve, in pixels.
_AHEAD = 4

Points = NDArray[np.int64]


def curve_length(dashes: int) -> int:
    """Length of a curve, in pixels."""
    return dashes * (DASH + GAP) - GAP


def free_cells(size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels (H, W) of an empty picture in which curves may run: those that are not at its edge."""
    free = np.zeros(size, bool)
    free[MARGIN:-MARGIN, MARGIN:-MARGIN] = True
    return free


def take_cells(free: NDArray[np.bool_], curve: Points) -> None:
    """Remove the surroundings of a curve from the pixels (H, W) in which curves may run."""
    rows, columns = (curve[:, None] // UNIT + _disc(SEPARATION)).reshape(-1, 2).T
    height, width = free.shape
    free[rows.clip(0, height - 1), columns.clip(0, width - 1)] = False


def random_curve(rng: random.Random, dashes: int, free: NDArray[np.bool_]) -> Points | None:
    """A smooth curve (T, 2) with a random start; None if it does not get far enough.

    Args:
        rng: Source of random numbers.
        dashes: Number of dashes.
        free: The pixels (H, W) in which the curve may run.
    """
    height, width = free.shape
    cells, starts = free.tobytes(), free.ravel().nonzero()[0]
    if not len(starts):
        return None
    row, column = divmod(int(starts[rng.randrange(len(starts))]), width)
    y, x = row * UNIT + rng.randrange(UNIT), column * UNIT + rng.randrange(UNIT)
    direction, bend = rng.randrange(_TURN), rng.randint(-_BEND, _BEND)
    points = []
    for change in rng.choices(_BEND_CHANGES, k=curve_length(dashes) + 1):
        if not cells[y // UNIT * width + x // UNIT]:
            return None
        points.append((y, x))
        bend = max(-_BEND, min(_BEND, bend + change))
        dy, dx = _STEPS[(direction + bend) % _TURN]
        if not cells[(y + _AHEAD * dy) // UNIT % height * width + (x + _AHEAD * dx) // UNIT % width]:
            bend = _BEND if bend > 0 else -_BEND
        direction = (direction + bend) % _TURN
        dy, dx = _STEPS[direction]
        y, x = y + dy, x + dx
    curve = np.array(points, np.int64)
    return None if _touches_itself(curve) else curve


def _touches_itself(curve: Points) -> bool:
    """Whether parts of a curve are closer than SEPARATION that are farther than twice that along the curve."""
    difference = curve[:, None] - curve
    is_close = (difference * difference).sum(-1) < (SEPARATION * UNIT) ** 2
    along = np.arange(len(curve))
    return bool((is_close & (abs(along[:, None] - along) > 2 * SEPARATION)).any())


@functools.cache
def _disc(radius: int) -> Points:
    """The points with whole coordinates in a disc around 0."""
    reach = range(-radius, radius + 1)
    return np.array([(dy, dx) for dy in reach for dx in reach if dy * dy + dx * dx <= radius * radius], np.int64)


def draw_curves(curves: list[Points], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The dashes of curves, (FINE H, FINE W)."""
    marks = [_fine_points(curve) for curve in curves]
    return draw_discs(np.concatenate(marks), STROKE, size)


def draw_discs(centres: Points, diameter: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """A disc around each of the points (T, 2), which are at least half a diameter from the edge: (FINE H, FINE W)."""
    height, width = (FINE * side for side in size)
    canvas = np.zeros((height, width), bool)
    rows, columns = (centres[:, None] * FINE // UNIT + _disc(diameter * FINE // 2)).reshape(-1, 2).T
    canvas[rows, columns] = True
    return canvas


def to_grey(canvas: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A drawing (FINE H, FINE W) as grey levels (H, W): 0 to 255 by the share of each pixel that is covered."""
    height, width = (side // FINE for side in canvas.shape)
    covered = canvas.reshape(height, FINE, width, FINE).sum((1, 3), dtype=np.int64)
    return (covered * 255 // FINE**2).astype(np.uint8)


def _fine_points(curve: Points) -> Points:
    """The points of the dashes of a curve, FINE for each pixel of its length."""
    parts = np.arange(FINE)[:, None]
    fine = (curve[:-1, None] * (FINE - parts) + curve[1:, None] * parts) // FINE
    return fine[np.arange(len(fine)) % (DASH + GAP) < DASH].reshape(-1, 2)
