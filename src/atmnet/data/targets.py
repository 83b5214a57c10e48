"""Targets of dense tasks: objects of an image, and label maps.

Shapes: N objects, H x W pixels. A label map is uint8 (H, W): classes from 0, :data:`IGNORE` where none is known.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: The label of pixels that neither teach nor count.
IGNORE = 255


@dataclass
class DetectionTarget:
    """The objects of an image.

    Attributes:
        boxes: (N, 4) float32, x0 y0 x1 y1 in pixels.
        labels: (N,) int64, indices into the classes, from 0 without background.
        masks: (N, H, W) bool, where each object is seen; (N, 0, 0) where only boxes were asked for.
        crowd: (N,) bool, regions of uncounted objects: no examples to learn from, and no mistakes to find something in.
        area: (N,) float32, in pixels, as annotated; by it COCO tells small from large.
        image_id: The image's number in its data set.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor
    crowd: Tensor
    area: Tensor
    image_id: int

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "DetectionTarget":
        """The same on another device."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=non_blocking)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return dataclasses.replace(self, **moved)

    def keep(self, chosen: Tensor) -> "DetectionTarget":
        """The objects that ``chosen``, (N,) bool or a list of indices, chooses."""
        return dataclasses.replace(
            self, boxes=self.boxes[chosen], labels=self.labels[chosen], masks=self.masks[chosen],
            crowd=self.crowd[chosen], area=self.area[chosen],
        )  # fmt: skip


def no_objects(height: int, width: int, image_id: int = 0) -> DetectionTarget:
    """The target of an image of ``height`` x ``width`` pixels that shows none."""
    return DetectionTarget(
        boxes=torch.zeros(0, 4),
        labels=torch.zeros(0, dtype=torch.int64),
        masks=torch.zeros(0, height, width, dtype=torch.bool),
        crowd=torch.zeros(0, dtype=torch.bool),
        area=torch.zeros(0),
        image_id=image_id,
    )
