"""Digit scenes: real handwritten digits pasted on real photographs, an embedded data set for every task.

A scene depends only on (seed, split, index) and its options. Digits are scikit-learn's, in the split of
:class:`~atmnet.data.digits.DigitsReader`; photographs are those that ship with scikit-image and scikit-learn. Training
and validation share neither digits nor photographs.

Shapes: N digits, H x W pixels.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from atmnet.data.generated import GeneratedClasses, GeneratedLabelMaps, GeneratedSplit
from atmnet.data.scene import LabelledSceneOptions, Scene, SceneOptions, label_map, make_scene, scene_label
from atmnet.data.targets import DetectionTarget, no_objects

DIGITS = [str(digit) for digit in range(10)]


class SceneClassification(GeneratedClasses[LabelledSceneOptions]):
    """Scenes with one label each, a digit; see :class:`LabelledSceneOptions` for ``kwargs``.

    Raises:
        UserError: For a split other than 'train' and 'val', and for arguments that are unknown or out of range.
    """

    source = "scenes"
    options_type = LabelledSceneOptions

    def __init__(self, split: str, **kwargs: Any) -> None:
        super().__init__(split, **kwargs)
        self.classes = list(DIGITS)

    def load(self, index: int, mode: str) -> tuple[Image.Image, int]:
        """The picture in 'RGB' or 'L', and its label."""
        scene = make_scene(self.split, index, self.options)
        return scene.image.convert(mode), scene_label(scene, self.options.label)


class SceneDetection(GeneratedSplit[SceneOptions]):
    """Scenes with boxes and masks; see :class:`SceneOptions` for ``kwargs``.

    Raises:
        UserError: For a split other than 'train' and 'val', and for arguments that are unknown or out of range.
    """

    source = "scenes"
    options_type = SceneOptions

    def __init__(self, split: str, **kwargs: Any) -> None:
        super().__init__(split, **kwargs)
        self.classes = list(DIGITS)
        self.category_ids = [digit + 1 for digit in range(10)]

    def scene(self, index: int) -> Scene:
        """The picture, labels and masks of a scene."""
        return make_scene(self.split, index, self.options)

    def image_id(self, index: int) -> int:
        """The scene's number, from 1."""
        return index + 1

    def load(self, index: int, mode: str) -> tuple[Image.Image, DetectionTarget]:
        """The picture in 'RGB' or 'L', and its digits in the order in which they were pasted."""
        scene = self.scene(index)
        masks = torch.from_numpy(scene.masks)
        return scene.image.convert(mode), DetectionTarget(
            boxes=_boxes(scene.masks),
            labels=torch.from_numpy(scene.labels),
            masks=masks,
            crowd=torch.zeros(len(masks), dtype=torch.bool),
            area=masks.sum((1, 2)).float(),
            image_id=self.image_id(index),
        )

    def labels(self, target: DetectionTarget) -> set[int]:
        """The labels of the digits."""
        return set(target.labels.tolist())

    def blank(self, mode: str) -> tuple[Image.Image, DetectionTarget]:
        """A sample without objects."""
        return Image.new(mode, (32, 32)), no_objects(32, 32)


class SceneSegmentation(GeneratedLabelMaps[SceneOptions]):
    """Scenes with label maps: 0 for the photograph, d + 1 for the digit d; see :class:`SceneOptions` for ``kwargs``.

    Raises:
        UserError: For a split other than 'train' and 'val', and for arguments that are unknown or out of range.
    """

    source = "scenes"
    options_type = SceneOptions

    def __init__(self, split: str, **kwargs: Any) -> None:
        super().__init__(split, **kwargs)
        self.classes = ["background", *DIGITS]

    def load(self, index: int, mode: str) -> tuple[Image.Image, Tensor]:
        """The picture in 'RGB' or 'L', and its label map."""
        scene = make_scene(self.split, index, self.options)
        return scene.image.convert(mode), torch.from_numpy(label_map(scene))


def _boxes(masks: NDArray[np.bool_]) -> Tensor:
    """The tight boxes (N, 4) of non-empty masks; x1 and y1 are one past the last pixel."""

    def ends(axis: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        is_covered = np.asarray(masks.any(axis))
        return is_covered.argmax(1), is_covered.shape[1] - is_covered[:, ::-1].argmax(1)

    (x0, x1), (y0, y1) = ends(1), ends(2)
    return torch.from_numpy(np.stack([x0, y0, x1, y1], 1)).float()
