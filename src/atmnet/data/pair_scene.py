"""Pairs of digits on a photograph, far apart, among fragments of other digits.

The two digits of a pair are different samples. Random numbers come from Python's generator, and pixels are computed
with integers, so that a picture is the same on every machine (unless its JPEG library decodes the photographs with
other rounding).

Shapes: N digits, H x W pixels of a picture, h x w pixels of a digit.
"""

import functools
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atmnet.data.generated import SPLITS
from atmnet.data.pasting import EDGE_FACTOR, MIN_LENGTH, DigitOptions, background, log_uniform, paste, resize_ink
from atmnet.data.scene_material import digits, photographs
from atmnet.data.seeding import derive_seed
from atmnet_cli.errors import UserError

#: Places to try for two digits, and for a fragment.
_PAIR_TRIES, _FRAGMENT_TRIES = 100, 20
#: Smallest number of pixels of ink in a fragment.
_MIN_INK = 4


@dataclass(frozen=True)
class PairOptions(DigitOptions):
    """Options of pairs.

    Attributes:
        img_size: Side in pixels, or (height, width).
        images: Pictures in each split, or in (training, validation).
        seed: Seed of all random numbers.
        digit_sizes: Minimum and maximum length of a digit's longer side, in pixels. Default: a quarter to a third of
            the picture's shorter side.
        contrast: Minimum and maximum difference between the luminance of a digit and that of its background, in levels
            of 255; the standard deviation of the background is added to it.
        digit_classes: Number of classes of digits that occur: the digits from 0.
        distance: Smallest distance between the centres of the two digits, as a share of the picture's shorter side.
        distractors: Number of fragments of digits; those that do not fit are left out.
    """

    img_size: int | tuple[int, int] = 64
    images: int | tuple[int, int] = (20000, 1000)
    digit_classes: int = 10
    distance: float = 0.5
    distractors: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.digit_classes <= 10:
            raise UserError(
                f"data.kwargs: digit_classes: got {self.digit_classes}, expected a whole number from 2 to 10"
            )
        if self.distractors < 0:
            raise UserError(f"data.kwargs: distractors: got {self.distractors}, expected at least 0")
        limit = (min(self.size) - self.max_length) * 100 // min(self.size) / 100
        if not 0 <= self.distance <= limit:
            raise UserError(
                f"data.kwargs: distance: got {self.distance}, expected 0 to {limit} for digits of up to "
                f"{self.lengths[1]} pixels in pictures of {self.size[0]}x{self.size[1]}"
            )

    @property
    def lengths(self) -> tuple[int, int]:
        """Minimum and maximum length of a digit, in pixels."""
        side = min(self.size)
        return self.digit_sizes or (max(MIN_LENGTH, side // 4), max(MIN_LENGTH, side // 3))

    @property
    def max_length(self) -> int:
        """Upper limit of a digit's length with its soft edge, in pixels."""
        return int(self.lengths[1] * EDGE_FACTOR) + 1


@dataclass(frozen=True)
class RowOptions(PairOptions):
    """Options of pairs for segmentation: those of :class:`PairOptions`, and the number of rows.

    Attributes:
        rows: Number of pairs in a picture; the digits of a pair are in the same of as many equally high rows.
    """

    rows: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.rows <= self.size[0] // self.max_length:
            raise UserError(
                f"data.kwargs: rows: got {self.rows}, expected 1 to {self.size[0] // self.max_length} for digits of up "
                f"to {self.lengths[1]} pixels in pictures that are {self.size[0]} pixels high"
            )


@dataclass
class PastedDigit:
    """A digit of a picture: label, opacity (h, w) of 0 to 255, and the row and column of its upper left pixel."""

    label: int
    alpha: NDArray[np.int32]
    row: int
    column: int

    @property
    def place(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        height, width = self.alpha.shape
        return slice(self.row, self.row + height), slice(self.column, self.column + width)


def make_pair(split: str, index: int, options: PairOptions) -> tuple[Image.Image, list[PastedDigit]]:
    """Picture number ``index`` of a split, and its two digits: of one class if the index is odd, else of two."""
    rng = random.Random(derive_seed(options.seed, SPLITS.index(split), index))
    first = rng.randrange(options.digit_classes)
    second = first if index % 2 else (first + rng.randrange(1, options.digit_classes)) % options.digit_classes
    pair = _draw_pair(rng, split, (first, second), options)
    _place_apart(rng, pair, options)
    return _paint(rng, split, pair, options), pair


def make_rows(split: str, index: int, options: RowOptions) -> tuple[Image.Image, list[PastedDigit]]:
    """Picture number ``index`` of a split, and its digits: two in each row, whose classes are independent."""
    rng = random.Random(derive_seed(options.seed, SPLITS.index(split), index))
    height = options.size[0] // options.rows
    pasted: list[PastedDigit] = []
    for row in range(options.rows):
        classes = rng.randrange(options.digit_classes), rng.randrange(options.digit_classes)
        pair = _draw_pair(rng, split, classes, options)
        _place_in_row(rng, pair, options, slice(row * height, (row + 1) * height))
        pasted += pair
    return _paint(rng, split, pasted, options), pasted


@functools.cache
def _by_class(split: str) -> list[list[Image.Image]]:
    """The digits of a split, for each class."""
    return [[ink for label, ink in digits(split) if label == digit] for digit in range(10)]


def _draw_pair(rng: random.Random, split: str, labels: tuple[int, int], options: PairOptions) -> list[PastedDigit]:
    """Two digits, of different samples, at row and column 0."""
    first, second = (_by_class(split)[label] for label in labels)
    inks = rng.sample(first, 2) if first is second else [rng.choice(first), rng.choice(second)]
    return [
        PastedDigit(label, resize_ink(ink, log_uniform(rng, *options.lengths)), 0, 0)
        for label, ink in zip(labels, inks, strict=True)
    ]


def _place_apart(rng: random.Random, pair: list[PastedDigit], options: PairOptions) -> None:
    """Move two digits to random places that are far enough apart; to opposite corners if a few tries find none."""
    for _ in range(_PAIR_TRIES):
        for digit in pair:
            digit.row, digit.column = (
                rng.randint(0, whole - part) for whole, part in zip(options.size, digit.alpha.shape, strict=True)
            )
        if _are_apart(pair, options):
            return
    first, second = pair
    first.row = first.column = 0
    second.row, second.column = (whole - part for whole, part in zip(options.size, second.alpha.shape, strict=True))


def _place_in_row(rng: random.Random, pair: list[PastedDigit], options: PairOptions, row: slice) -> None:
    """Move two digits, the first of them to the left, to random places of a row that are far enough apart."""
    first, second = pair
    for digit in pair:
        digit.row = rng.randint(row.start, row.stop - digit.alpha.shape[0])
    width = options.size[1]
    for _ in range(_PAIR_TRIES):
        first.column, second.column = (rng.randint(0, width - digit.alpha.shape[1]) for digit in pair)
        if first.column < second.column and _are_apart(pair, options):
            return
    first.column, second.column = 0, width - second.alpha.shape[1]


def _are_apart(pair: list[PastedDigit], options: PairOptions) -> bool:
    """Whether the centres of two digits are far enough apart, and their rectangles do not overlap."""
    first, second = pair
    dy, dx = (
        2 * (a - b) + m - n
        for a, b, m, n in zip(
            (first.row, first.column), (second.row, second.column), first.alpha.shape, second.alpha.shape, strict=True
        )
    )
    is_far = dy * dy + dx * dx >= (2 * options.distance * min(options.size)) ** 2
    heights, widths = (m + n for m, n in zip(first.alpha.shape, second.alpha.shape, strict=True))
    return is_far and (abs(dy) >= heights or abs(dx) >= widths)


def _paint(rng: random.Random, split: str, pasted: list[PastedDigit], options: PairOptions) -> Image.Image:
    """The digits and fragments on a photograph."""
    canvas = background(rng, photographs(split), options.size)
    taken = np.zeros(options.size, bool)
    for digit in pasted:
        taken[digit.place] = True
    for _ in range(options.distractors):
        alpha = _fragment(rng, split, options)
        for _ in range(_FRAGMENT_TRIES):
            row, column = (rng.randint(0, whole - part) for whole, part in zip(options.size, alpha.shape, strict=True))
            place = slice(row, row + alpha.shape[0]), slice(column, column + alpha.shape[1])
            if not taken[place].any():
                paste(rng, canvas[place], alpha, options.contrast)
                taken[place] = True
                break
    for digit in pasted:
        paste(rng, canvas[digit.place], digit.alpha, options.contrast)
    return Image.fromarray(canvas)


def _fragment(rng: random.Random, split: str, options: PairOptions) -> NDArray[np.int32]:
    """Opacity (h, w) of a quarter of a random digit."""
    while True:
        _, ink = rng.choice(digits(split))
        alpha = resize_ink(ink, log_uniform(rng, *options.lengths))
        height, width = (max(1, side // 2) for side in alpha.shape)
        row, column = (rng.randint(0, whole - part) for whole, part in zip(alpha.shape, (height, width), strict=True))
        part = alpha[row : row + height, column : column + width]
        if (part > 127).sum() >= _MIN_INK:
            return part
