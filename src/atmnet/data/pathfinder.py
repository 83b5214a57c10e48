"""Pathfinder: are two dots on one dashed curve, or on two? Classification that needs a view of the whole picture.

After Linsley et al. 2018 (arXiv:1805.08315) and Long Range Arena (arXiv:2011.04006). Every picture has two long curves,
short ones as distractors, and a dot on two of the four ends of the long curves. The curves do not depend on the answer,
and the distance between the dots is about the same for both answers.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atmnet.data.curves import (
    SEPARATION,
    UNIT,
    Points,
    curve_length,
    draw_curves,
    draw_discs,
    free_cells,
    random_curve,
    take_cells,
    to_grey,
)
from atmnet.data.generated import SPLITS, GeneratedClasses, GeneratedOptions
from atmnet.data.seeding import derive_seed
from atmnet_cli.errors import UserError

#: Smallest and largest side of a picture, in pixels. Time and memory grow with the square of a curve's length.
_SIDES = 24, 512
#: Diameter of a dot in pixels, and the smallest distance between the two.
_DOT, _MIN_DISTANCE = 4, 8
#: The distances of the dots for the two answers are in the same interval, of the shorter side divided by this. Were
#: they only close to each other, those of one answer could be larger on average. In intervals of a sixteenth, their
#: places within them still tell the answer of short curves in 62 % of the pictures; in those of a 32nd, in 54 %.
_INTERVALS = 32
#: Tries for one curve, and for a whole picture.
_CURVE_TRIES, _PICTURE_TRIES = 20, 500


@dataclass(frozen=True)
class PathfinderOptions(GeneratedOptions):
    """Options of pathfinder.

    Attributes:
        img_size: Side in pixels, or (height, width).
        images: Pictures in each split, or in (training, validation).
        seed: Seed of all random numbers.
        dashes: Number of dashes of a long curve; each takes 5 pixels with its gap. Default: a sixth of the shorter
            side.
        distractors: Number of short curves, of a third of the dashes. Default: a 32nd of the shorter side.
    """

    img_size: int | tuple[int, int] = 32
    images: int | tuple[int, int] = (20000, 1000)
    dashes: int | None = None
    distractors: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = _SIDES
        if not low <= min(self.size) <= max(self.size) <= high:
            raise UserError(f"data.kwargs: img_size: got {self.img_size}, 'pathfinder' takes {low} to {high} pixels")
        longest = min(self.size) // 2
        if not 2 <= self.long_dashes <= longest:
            raise UserError(f"data.kwargs: dashes: got {self.dashes}, expected 2 to {longest} for this img_size")
        if self.short_curves < 0:
            raise UserError(f"data.kwargs: distractors: got {self.distractors}, expected at least 0")
        lengths = 2 * curve_length(self.long_dashes) + self.short_curves * curve_length(self.short_dashes)
        if lengths * SEPARATION > self.size[0] * self.size[1]:
            raise self.too_full()

    @property
    def long_dashes(self) -> int:
        """Number of dashes of a long curve."""
        return min(self.size) // 6 if self.dashes is None else self.dashes

    @property
    def short_dashes(self) -> int:
        """Number of dashes of a distractor."""
        return max(1, self.long_dashes // 3)

    @property
    def short_curves(self) -> int:
        """Number of distractors."""
        return min(self.size) // 32 if self.distractors is None else self.distractors

    def too_full(self) -> UserError:
        """The error for curves that do not fit."""
        height, width = self.size
        return UserError(
            f"data.kwargs: two curves of {self.long_dashes} dashes and {self.short_curves} distractors do not fit "
            f"pictures of {height}x{width}; use fewer dashes or distractors, or a larger img_size"
        )


@dataclass
class PathfinderDrawing:
    """A picture before it is drawn: two long curves, distractors, dots (2, 2); see :mod:`~atmnet.data.curves`."""

    long: list[Points]
    short: list[Points]
    dots: Points
    size: tuple[int, int]

    def grey(self) -> NDArray[np.uint8]:
        """The picture (H, W), white on black."""
        canvas = draw_curves([*self.long, *self.short], self.size)
        return to_grey(canvas | draw_discs(self.dots, _DOT, self.size))


class Pathfinder(GeneratedClasses[PathfinderOptions]):
    """Pathfinder's pictures: class 0 'different' and class 1 'same', by turns; see :class:`PathfinderOptions`.

    Raises:
        UserError: For a split other than 'train' and 'val', and for arguments that are unknown or out of range, or that
            ask for more curves than fit.
    """

    source = "pathfinder"
    options_type = PathfinderOptions

    def __init__(self, split: str, **kwargs: Any) -> None:
        super().__init__(split, **kwargs)
        self.classes = ["different", "same"]
        self.drawing(0)  # which fails if the curves do not fit

    def drawing(self, index: int) -> PathfinderDrawing:
        """The curves and dots of a picture."""
        rng = random.Random(derive_seed(self.options.seed, SPLITS.index(self.split), index))
        for _ in range(_PICTURE_TRIES):
            if drawing := _random_drawing(rng, self.options, is_same=index % 2 == 1):
                return drawing
        raise self.options.too_full()

    def load(self, index: int, mode: str) -> tuple[Image.Image, int]:
        """The picture in 'RGB' or 'L', and 1 if the dots are on one curve, else 0."""
        return Image.fromarray(self.drawing(index).grey()).convert(mode), index % 2


def _random_drawing(rng: random.Random, options: PathfinderOptions, is_same: bool) -> PathfinderDrawing | None:
    """One try; None if curves do not fit or the dots' distance would give the answer away."""
    free = free_cells(options.size)
    long = _place(rng, 2, options.long_dashes, free)
    if len(long) < 2:
        return None
    pairs = [pair for pair in _pairs_of_dots(*long) if _are_as_far(*pair, min(options.size))]
    if not pairs:
        return None
    same, different = rng.choice(pairs)
    short = _place(rng, options.short_curves, options.short_dashes, free)
    if len(short) < options.short_curves:
        return None
    return PathfinderDrawing(long, short, same if is_same else different, options.size)


def _pairs_of_dots(first: Points, second: Points) -> Iterator[tuple[Points, Points]]:
    """Two dots on one curve, and two on different curves of which one is the same, in all ways."""
    for near, far in ((first, second), (second, first)):
        for start, end in ((near[0], near[-1]), (near[-1], near[0])):
            for other in (far[0], far[-1]):
                yield np.stack([start, end]), np.stack([start, other])


def _are_as_far(same: Points, different: Points, side: int) -> bool:
    """Whether the distances of two pairs of dots (2, 2) are in the same interval, and not too small."""
    first, second = _distance(same), _distance(different)
    width = max(1, side * UNIT // _INTERVALS)
    return min(first, second) >= _MIN_DISTANCE * UNIT and first // width == second // width


def _place(rng: random.Random, number: int, dashes: int, free: NDArray[np.bool_]) -> list[Points]:
    """Up to ``number`` curves, whose surroundings are removed from ``free``."""
    curves: list[Points] = []
    for _ in range(number):
        tries = (random_curve(rng, dashes, free) for _ in range(_CURVE_TRIES))
        curve = next((curve for curve in tries if curve is not None), None)
        if curve is None:
            break
        take_cells(free, curve)
        curves.append(curve)
    return curves


def _distance(points: Points) -> int:
    """The distance between two points (2, 2), in units."""
    dy, dx = (points[0] - points[1]).tolist()
    return math.isqrt(dy * dy + dx * dx)
