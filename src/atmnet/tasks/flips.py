"""Test-time mirroring: answers of a model for an image and for the mirrored image, merged.

Shapes: B images, K classes, M forward passes, N objects of an image of H x W pixels. Segmenters mirror each window and
scale; see :mod:`atmnet.tasks.windows`.
"""

from collections.abc import Callable
from math import log

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms

#: Objects of one class whose boxes have a larger IoU count as one; the one with the higher score stays.
_MAX_IOU = 0.5


def mean_of_labels(logits: Tensor) -> Tensor:
    """The logarithms (B, K) of the means of the class probabilities of several forward passes, logits (M, B, K)."""
    return logits.log_softmax(-1).logsumexp(0) - log(len(logits))


def mean_of_sets(logits: Tensor) -> Tensor:
    """The logits (B, K) of the mean probabilities of several forward passes, for classes that do not exclude others."""
    return F.logsigmoid(logits).logsumexp(0) - F.logsigmoid(-logits).logsumexp(0)


def merged_objects(
    model: Callable[[list[Tensor]], list[dict[str, Tensor]]], images: list[Tensor]
) -> list[dict[str, Tensor]]:
    """The objects of each image, by non-maximum suppression over those of the image and of the mirrored image.

    Args:
        model: A detector with torchvision's interface: images (3, H, W) -> for each its boxes (N, 4) as x0 y0 x1 y1,
            labels (N,), scores (N,), and for some detectors masks (N, 1, H, W).
        images: The images.
    """
    merged = []
    for image, straight, mirrored in zip(images, model(images), model([i.flip(-1) for i in images]), strict=True):
        mirrored = _mirror(mirrored, image.shape[-1])
        objects = {name: torch.cat([values, mirrored[name]]) for name, values in straight.items()}
        kept = batched_nms(objects["boxes"].float(), objects["scores"].float(), objects["labels"], _MAX_IOU)
        merged.append({name: values[kept] for name, values in objects.items()})
    return merged


def _mirror(objects: dict[str, Tensor], width: int) -> dict[str, Tensor]:
    x0, y0, x1, y1 = objects["boxes"].unbind(1)
    mirrored = {**objects, "boxes": torch.stack([width - x1, y0, width - x0, y1], 1)}
    if "masks" in objects:
        mirrored["masks"] = objects["masks"].flip(-1)
    return mirrored
