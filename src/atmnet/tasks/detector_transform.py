"""The resize of torchvision's detectors, for pictures of any shape."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform


class DetectorTransform(GeneralizedRCNNTransform):
    """torchvision's normalisation and resize, after which each side of a picture has at least a pixel.

    torchvision rounds the shorter side of a strip of pixels down to zero, and fails.
    """

    def resize(self, image: Tensor, target: Any = None) -> tuple[Tensor, Any]:
        sides = image.shape[-2:]
        scale = min(self.min_size[-1] / min(sides), self.max_size / max(sides))
        if self.training or int(min(sides) * scale) >= 1:
            resized: tuple[Tensor, Any] = super().resize(image, target)
            return resized
        size = [max(1, int(side * scale)) for side in sides]
        return F.interpolate(image[None], size, mode="bilinear", align_corners=False)[0], target


def resize_any_shape(model: nn.Module) -> None:
    """Let a detector of torchvision resize pictures of any shape, and all others as before."""
    old: Any = model.transform
    model.transform = DetectorTransform(
        old.min_size, old.max_size, old.image_mean, old.image_std, old.size_divisible, old.fixed_size,
        _skip_resize=old._skip_resize,
    )  # fmt: skip
