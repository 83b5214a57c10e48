"""A digit scene: digits pasted on a photograph at random place, size, colour and overlap.

Draws come from Python's own generator, and pixels from whole numbers, so that a scene comes out the same on another
machine, as far as its JPEG library rounds alike.

Shapes: N digits, H x W pixels, h x w those of one digit.
"""

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from atmnet.data.scene_material import EDGE, MARGIN, SPLITS, digits, photographs
from atmnet.data.seeding import derive
from atmnet_cli.errors import UserError

#: Share of a digit's ink that later digits may not cover.
_VISIBLE = 0.4
#: Places to try for a digit before it is left out.
_PLACES = 10
#: Pixels that a digit needs to be one.
_LEAST = 8
#: How much longer than its ink, at most, a digit is with its soft edge.
_SOFT = 1.25


@dataclass(frozen=True)
class SceneOptions:
    """What scenes look like.

    Attributes:
        img_size: Side in pixels, or (height, width).
        images: Scenes in a split, or in (training, validation). Default: 2000 for training, 300 for validation.
        objects: Fewest and most digits.
        digit_sizes: Least and greatest length of a digit's longer side, in pixels; at most 0.8 of the scene's shorter
            side. Default: 10 to 56, in small scenes to 7/16 of the shorter side.
        contrast: Least and greatest distance of a digit's luminance from that of the ground under it, in levels of 255;
            the ground's standard deviation comes on top.
        seed: Another seed, other scenes.
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
        pairs = ("objects", self.objects, 0), ("digit_sizes", self.lengths, _LEAST), ("contrast", self.contrast, 0)
        for name, (least, most), floor in pairs:
            if not floor <= least <= most:
                raise UserError(f"data.kwargs: {name}: got {(least, most)}, expected {floor} <= least <= most")
        if self.lengths[1] > self._fitting:
            raise UserError(
                f"data.kwargs: digit_sizes: digits of up to {self.lengths[1]} pixels do not fit scenes of "
                f"{height}x{width}; expected at most {self._fitting}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return (self.img_size, self.img_size) if isinstance(self.img_size, int) else self.img_size

    @property
    def lengths(self) -> tuple[int, int]:
        """Least and greatest length of a digit."""
        most = min(56, max(_LEAST, min(self.size) * 7 // 16))
        return self.digit_sizes or (min(10, most), most)

    @property
    def _fitting(self) -> int:
        return int(min(self.size) / _SOFT)


@dataclass
class Scene:
    """A picture with its objects: ``labels`` (N,) int64 and ``masks`` (N, H, W) bool, of what is seen of each."""

    image: Image.Image
    labels: np.ndarray
    masks: np.ndarray


def make_scene(split: str, index: int, options: SceneOptions) -> Scene:
    """Photograph and digits number ``index`` of a split: ``options.images`` does not enter."""
    draw = random.Random(derive(options.seed, SPLITS.index(split), index))
    canvas = _ground(draw, photographs(split), options.size)
    masks: list[np.ndarray] = []
    inks: list[int] = []
    labels: list[int] = []
    for _ in range(draw.randint(*options.objects)):
        label, ink = draw.choice(digits(split))
        alpha = _resize_ink(ink, _between(draw, *options.lengths))
        place = _place(draw, alpha > 127, masks, inks, options.size)
        if place is None:
            continue
        rows, columns = place
        _paste(draw, canvas[rows, columns], alpha, options.contrast)
        mask = np.zeros(options.size, bool)
        mask[rows, columns] = alpha > 127
        for earlier in masks:
            earlier &= ~mask
        masks.append(mask)
        inks.append(int(mask.sum()))
        labels.append(label)
    found = np.stack(masks) if masks else np.zeros((0, *options.size), bool)
    return Scene(Image.fromarray(canvas), np.array(labels, np.int64), found)


def label_map(scene: Scene) -> np.ndarray:
    """(H, W) uint8: 0 is the photograph, digit d is d + 1."""
    found = np.zeros(scene.masks.shape[1:], np.uint8)
    for label, mask in zip(scene.labels, scene.masks, strict=True):
        found[mask] = label + 1
    return found


def _between(draw: random.Random, low: int, high: int) -> int:
    """A whole number from low to high, halving as often as doubling."""
    return min(high, int(low * ((high + 1) / low) ** draw.random()))


def _ground(draw: random.Random, photographs: list[Image.Image], size: tuple[int, int]) -> np.ndarray:
    """A cutting of a photograph, (H, W, 3), mirrored half of the time."""
    height, width = size
    photograph = draw.choice(photographs)
    most = min(photograph.width / width, photograph.height / height)
    zoom = min(most, 1 + 1.5 * draw.random())
    across, down = min(zoom * width, photograph.width), min(zoom * height, photograph.height)
    x0, y0 = draw.random() * (photograph.width - across), draw.random() * (photograph.height - down)
    box = (x0, y0, min(x0 + across, photograph.width), min(y0 + down, photograph.height))
    cutting = np.array(photograph.resize((width, height), Image.Resampling.BILINEAR, box))
    return np.ascontiguousarray(cutting[:, ::-1]) if draw.random() < 0.5 else cutting


def _resize_ink(ink: Image.Image, length: int) -> np.ndarray:
    """Opacity of a digit with a longer side of ``length`` pixels, (h, w) of 0 to 255, with edges of few pixels."""
    factor = length / (max(ink.size) - 2 * MARGIN)
    grey = np.asarray(ink.resize((round(ink.width * factor), round(ink.height * factor)), Image.Resampling.BICUBIC))
    steepness = max(3, min(8, length // 6))
    alpha = np.clip((grey.astype(np.int32) - EDGE) * steepness // 2 + 128, 0, 255)
    rows, columns = alpha.any(1).nonzero()[0], alpha.any(0).nonzero()[0]
    return alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _place(
    draw: random.Random, ink: np.ndarray, masks: list[np.ndarray], inks: list[int], size: tuple[int, int]
) -> tuple[slice, slice] | None:
    """Where a digit hides none of the earlier ones too much."""
    for _ in range(_PLACES):
        y0, x0 = (draw.randint(0, whole - part) for whole, part in zip(size, ink.shape, strict=True))
        place = slice(y0, y0 + ink.shape[0]), slice(x0, x0 + ink.shape[1])
        left = [int(mask.sum()) - int((mask[place] & ink).sum()) for mask in masks]
        if all(part >= _VISIBLE * whole for part, whole in zip(left, inks, strict=True)):
            return place
    return None


def _paste(draw: random.Random, canvas: np.ndarray, alpha: np.ndarray, contrast: tuple[int, int]) -> None:
    """Lay ink over ``canvas``, (h, w, 3), light on dark or dark on light by an amount that can be read."""
    grey = _luminance(canvas[alpha > 127].astype(np.int32))
    mean, spread = int(grey.mean()), int(grey.std())
    gap = draw.randint(*contrast) + spread
    light, dark = mean + gap <= 255, mean - gap >= 0
    if light == dark:
        up = draw.random() < 0.5 if light else mean < 128
    else:
        up = light
    level = mean + gap if up else mean - gap
    tint = np.array([draw.randint(-70, 70) for _ in range(3)], np.int32)
    colour = np.clip(tint - _luminance(tint) + level, 0, 255)
    opacity = alpha[:, :, None]
    canvas[:] = (canvas.astype(np.int32) * (255 - opacity) + colour * opacity + 127) // 255


def _luminance(rgb: np.ndarray) -> np.ndarray:
    return (rgb @ np.array([77, 150, 29], np.int32)) // 256
