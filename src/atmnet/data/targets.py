"""Targets of dense tasks: the objects of an image, and label maps.

Shapes: N objects, H x W pixels. A label map is uint8 (H, W): classes from 0, and :data:`IGNORE`.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: The label of pixels that are left out of training and evaluation.
IGNORE = 255


@dataclass
class DetectionTarget:
    """The objects of an image.

    Attributes:
        boxes: (N, 4) float32, x0 y0 x1 y1 in pixels.
        labels: (N,) int64, indices into the classes, from 0 without background.
        masks: (N, H, W) bool, the visible pixels of each object; (N, 0, 0) if masks were not loaded.
        crowd: (N,) bool, regions of uncounted objects: not trained on, and detections in them are not mistakes.
        area: (N,) float32, in pixels, as annotated; COCO's metrics distinguish small and large objects by it.
        image_id: The image's id in its data set.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor
    crowd: Tensor
    area: Tensor
    image_id: int

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "DetectionTarget":
        """A copy on another device."""
        tensors: dict[str, Any] = {
            name: value.to(device, non_blocking=non_blocking)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return dataclasses.replace(self, **tensors)

    def keep(self, selection: Tensor) -> "DetectionTarget":
        """The selected objects; ``selection`` is (N,) bool, or indices."""
        return dataclasses.replace(
            self, boxes=self.boxes[selection], labels=self.labels[selection], masks=self.masks[selection],
            crowd=self.crowd[selection], area=self.area[selection],
        )  # fmt: skip


def no_objects(height: int, width: int, image_id: int = 0) -> DetectionTarget:
    """The target of an image of ``height`` x ``width`` pixels without objects."""
    return DetectionTarget(
        boxes=torch.zeros(0, 4),
        labels=torch.zeros(0, dtype=torch.int64),
        masks=torch.zeros(0, height, width, dtype=torch.bool),
        crowd=torch.zeros(0, dtype=torch.bool),
        area=torch.zeros(0),
        image_id=image_id,
    )
