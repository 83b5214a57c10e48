"""A digit scene: digits pasted on a photograph with random places, sizes, colours and overlaps.

Random numbers come from Python's generator, and pixels are computed with integers, so that a scene is the same on every
machine (unless its JPEG library decodes the photographs with other rounding).

Shapes: N digits, H x W pixels of a scene, h x w pixels of a digit.
"""

import random
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atmnet.data.generated import SPLITS
from atmnet.data.pasting import MIN_LENGTH, DigitOptions, background, check_range, log_uniform, paste, resize_ink
from atmnet.data.scene_material import digits, photographs
from atmnet.data.seeding import derive_seed
from atmnet_cli.errors import UserError

#: Share of a digit's pixels that later digits must leave visible.
_MIN_VISIBLE = 0.4
#: Places to try for a digit before it is left out.
_MAX_TRIES = 10


@dataclass(frozen=True)
class SceneOptions(DigitOptions):
    """Options of digit scenes.

    Attributes:
        img_size: Side in pixels, or (height, width).
        images: Scenes in each split, or in (training, validation). Default: 2000 for training, 300 for validation.
        seed: Seed of all random numbers.
        digit_sizes: Minimum and maximum length of a digit's longer side, in pixels; at most 0.8 of the scene's shorter
            side. Default: 10 to 56, or up to 7/16 of the shorter side in scenes of less than 128 pixels.
        contrast: Minimum and maximum difference between the luminance of a digit and that of its background, in levels
            of 255; the standard deviation of the background is added to it.
        objects: Minimum and maximum number of digits.
    """

    objects: tuple[int, int] = (1, 8)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("objects", 0, self.objects)

    @property
    def lengths(self) -> tuple[int, int]:
        """Minimum and maximum length of a digit, in pixels."""
        longest = min(56, max(MIN_LENGTH, min(self.size) * 7 // 16))
        return self.digit_sizes or (min(10, longest), longest)


@dataclass(frozen=True)
class LabelledSceneOptions(SceneOptions):
    """Options of digit scenes for classification: those of :class:`SceneOptions`, and what the label is.

    Attributes:
        label: 'largest' for the digit with the most visible pixels, or 'sum' for the last digit of the sum of all.
    """

    label: Literal["largest", "sum"] = "largest"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objects[0] < 1:
            raise UserError(f"data.kwargs: objects: got {self.objects}, expected at least 1 digit in a labelled scene")


@dataclass
class Scene:
    """A picture with its objects: ``labels`` (N,), and ``masks`` (N, H, W) of the visible pixels of each object."""

    image: Image.Image
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]


def make_scene(split: str, index: int, options: SceneOptions) -> Scene:
    """Scene number ``index`` of a split. It does not depend on ``options.images``."""
    rng = random.Random(derive_seed(options.seed, SPLITS.index(split), index))
    canvas = background(rng, photographs(split), options.size)
    masks: list[NDArray[np.bool_]] = []
    areas: list[int] = []
    labels: list[int] = []
    for _ in range(rng.randint(*options.objects)):
        label, ink = rng.choice(digits(split))
        alpha = resize_ink(ink, log_uniform(rng, *options.lengths))
        place = _find_place(rng, alpha > 127, masks, areas, options.size)
        if place is None:
            continue
        rows, columns = place
        paste(rng, canvas[rows, columns], alpha, options.contrast)
        mask = np.zeros(options.size, bool)
        mask[rows, columns] = alpha > 127
        for earlier in masks:
            earlier &= ~mask
        masks.append(mask)
        areas.append(int(mask.sum()))
        labels.append(label)
    stacked = np.stack(masks) if masks else np.zeros((0, *options.size), bool)
    return Scene(Image.fromarray(canvas), np.array(labels, np.int64), stacked)


def scene_label(scene: Scene, rule: Literal["largest", "sum"]) -> int:
    """The label of a scene with at least one digit; see :class:`LabelledSceneOptions`."""
    if rule == "sum":
        return int(scene.labels.sum()) % 10
    return int(scene.labels[scene.masks.sum((1, 2)).argmax()])


def label_map(scene: Scene) -> NDArray[np.uint8]:
    """The label map (H, W) of a scene: 0 for the photograph, d + 1 for the digit d."""
    labels = np.zeros(scene.masks.shape[1:], np.uint8)
    for label, mask in zip(scene.labels, scene.masks, strict=True):
        labels[mask] = label + 1
    return labels


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
