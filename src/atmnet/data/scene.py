"""A digit scene: digits pasted on a photograph with random places, sizes, colours and overlaps.

Random numbers come from Python's generator, and pixels are computed with integers, so that a scene is the same on every
machine (unless its JPEG library decodes the photographs with other rounding).

Shapes: N digits, H x W pixels of a scene, h x w pixels of a digit.
"""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atmnet.data.scene_material import EDGE, MARGIN, SPLITS, digits, photographs
from atmnet.data.seeding import derive_seed
from atmnet_cli.errors import UserError

#: Share of a digit's pixels that later digits must leave visible.
_MIN_VISIBLE = 0.4
#: Places to try for a digit before it is left out.
_MAX_TRIES = 10
#: Smallest length of a digit's longer side that is still legible, in pixels.
_MIN_LENGTH = 8
#: Upper limit of a digit's length with its soft edge, as a multiple of its nominal length.
_EDGE_FACTOR = 1.25


@dataclass(frozen=True)
class SceneOptions:
    """Options of digit scenes.

    Attributes:
        img_size: Side in pixels, or (height, width).
        images: Scenes in each split, or in (training, validation). Default: 2000 for training, 300 for validation.
        objects: Minimum and maximum number of digits.
        digit_sizes: Minimum and maximum length of a digit's longer side, in pixels; at most 0.8 of the scene's shorter
            side. Default: 10 to 56, or up to 7/16 of the shorter side in scenes of less than 128 pixels.
        contrast: Minimum and maximum difference between the luminance of a digit and that of its background, in levels
            of 255; the standard deviation of the background is added to it.
        seed: Seed of all random numbers.
    """

    img_size: int | tuple[int, int] = 128
    images: int | tuple[int, int] = (2000, 300)
    objects: tuple[int, int] = (1, 8)
    digit_sizes: tuple[int, int] | None = None
    contrast: tuple[int, int] = (50, 130)
    seed: int = 0

    def __post_init__(self) -> None:
        height, width = self.size
        if min(height, width) < 1:
            raise UserError(
                f"data.kwargs: img_size: got {self.img_size}, expected a number of pixels or (height, width)"
            )
        if min(self.images if isinstance(self.images, tuple) else [self.images]) < 1:
            raise UserError(f"data.kwargs: images: got {self.images}, expected at least 1")
        ranges = (
            ("objects", 0, self.objects),
            ("digit_sizes", _MIN_LENGTH, self.lengths),
            ("contrast", 0, self.contrast),
        )
        for name, limit, (low, high) in ranges:
            if not limit <= low <= high:
                raise UserError(f"data.kwargs: {name}: got {(low, high)}, expected {limit} <= minimum <= maximum")
        if self.lengths[1] > self._max_length:
            raise UserError(
                f"data.kwargs: digit_sizes: digits of up to {self.lengths[1]} pixels do not fit scenes of "
                f"{height}x{width}; expected at most {self._max_length}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return (self.img_size, self.img_size) if isinstance(self.img_size, int) else self.img_size

    @property
    def lengths(self) -> tuple[int, int]:
        """Minimum and maximum length of a digit, in pixels."""
        longest = min(56, max(_MIN_LENGTH, min(self.size) * 7 // 16))
        return self.digit_sizes or (min(10, longest), longest)

    @property
    def _max_length(self) -> int:
        return int(min(self.size) / _EDGE_FACTOR)


@dataclass
class Scene:
    """A picture with its objects: ``labels`` (N,), and ``masks`` (N, H, W) of the visible pixels of each object."""

    image: Image.Image
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]


def make_scene(split: str, index: int, options: SceneOptions) -> Scene:
    """Scene number ``index`` of a split. It does not depend on ``options.images``."""
    rng = random.Random(derive_seed(options.seed, SPLITS.index(split), index))
    canvas = _background(rng, photographs(split), options.size)
    masks: list[NDArray[np.bool_]] = []
    areas: list[int] = []
    labels: list[int] = []
    for _ in range(rng.randint(*options.objects)):
        label, ink = rng.choice(digits(split))
        alpha = _resize_ink(ink, _log_uniform(rng, *options.lengths))
        place = _find_place(rng, alpha > 127, masks, areas, options.size)
        if place is None:
            continue
        rows, columns = place
        _paste(rng, canvas[rows, columns], alpha, options.contrast)
        mask = np.zeros(options.size, bool)
        mask[rows, columns] = alpha > 127
        for earlier in masks:
            earlier &= ~mask
        masks.append(mask)
        areas.append(int(mask.sum()))
        labels.append(label)
    stacked = np.stack(masks) if masks else np.zeros((0, *options.size), bool)
    return Scene(Image.fromarray(canvas), np.array(labels, np.int64), stacked)


def label_map(scene: Scene) -> NDArray[np.uint8]:
    """The label map (H, W) of a scene: 0 for the photograph, d + 1 for the digit d."""
    labels = np.zeros(scene.masks.shape[1:], np.uint8)
    for label, mask in zip(scene.labels, scene.masks, strict=True):
        labels[mask] = label + 1
    return labels


def _log_uniform(rng: random.Random, low: int, high: int) -> int:
    """A random integer from low to high, uniform on a logarithmic scale."""
    return min(high, int(low * ((high + 1) / low) ** rng.random()))


def _background(rng: random.Random, photographs: list[Image.Image], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A random crop of a photograph, (H, W, 3), mirrored half of the time."""
    height, width = size
    photograph = rng.choice(photographs)
    max_zoom = min(photograph.width / width, photograph.height / height)
    zoom = min(max_zoom, 1 + 1.5 * rng.random())
    across, down = min(zoom * width, photograph.width), min(zoom * height, photograph.height)
    x0, y0 = rng.random() * (photograph.width - across), rng.random() * (photograph.height - down)
    box = (x0, y0, min(x0 + across, photograph.width), min(y0 + down, photograph.height))
    crop = np.array(photograph.resize((width, height), Image.Resampling.BILINEAR, box))
    return np.ascontiguousarray(crop[:, ::-1]) if rng.random() < 0.5 else crop


def _resize_ink(ink: Image.Image, length: int) -> NDArray[np.int32]:
    """Opacity (h, w), 0 to 255, of a digit whose longer side is ``length`` pixels; its edges are a few pixels wide."""
    factor = length / (max(ink.size) - 2 * MARGIN)
    grey = np.asarray(ink.resize((round(ink.width * factor), round(ink.height * factor)), Image.Resampling.BICUBIC))
    steepness = max(3, min(8, length // 6))
    alpha = np.clip((grey.astype(np.int32) - EDGE) * steepness // 2 + 128, 0, 255)
    rows, columns = alpha.any(1).nonzero()[0], alpha.any(0).nonzero()[0]
    return alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _find_place(
    rng: random.Random,
    ink: NDArray[np.bool_],
    masks: list[NDArray[np.bool_]],
    areas: list[int],
    size: tuple[int, int],
) -> tuple[slice, slice] | None:
    """A place for a digit that leaves all earlier ones visible; None if a few tries do not find one.

    ``masks`` are the visible pixels of the earlier digits, and ``areas`` the numbers of their pixels when pasted.
    """
    for _ in range(_MAX_TRIES):
        y0, x0 = (rng.randint(0, whole - part) for whole, part in zip(size, ink.shape, strict=True))
        place = slice(y0, y0 + ink.shape[0]), slice(x0, x0 + ink.shape[1])
        visible = [int(mask.sum()) - int((mask[place] & ink).sum()) for mask in masks]
        if all(part >= _MIN_VISIBLE * whole for part, whole in zip(visible, areas, strict=True)):
            return place
    return None


def _paste(rng: random.Random, canvas: NDArray[np.uint8], alpha: NDArray[np.int32], contrast: tuple[int, int]) -> None:
    """Paste a digit on ``canvas`` (h, w, 3), lighter or darker than the background by a random contrast."""
    grey = _luminance(canvas[alpha > 127].astype(np.int32))
    mean, spread = int(grey.mean()), int(grey.std())
    gap = rng.randint(*contrast) + spread
    can_be_lighter, can_be_darker = mean + gap <= 255, mean - gap >= 0
    if can_be_lighter == can_be_darker:
        is_lighter = rng.random() < 0.5 if can_be_lighter else mean < 128
    else:
        is_lighter = can_be_lighter
    level = mean + gap if is_lighter else mean - gap
    tint = np.array([rng.randint(-70, 70) for _ in range(3)], np.int32)
    colour = np.clip(tint - _luminance(tint) + level, 0, 255)
    opacity = alpha[:, :, None]
    canvas[:] = (canvas.astype(np.int32) * (255 - opacity) + colour * opacity + 127) // 255


def _luminance(rgb: NDArray[np.int32]) -> NDArray[np.int32]:
    return (rgb @ np.array([77, 150, 29], np.int32)) // 256
