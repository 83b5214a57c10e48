"""The task of semantic segmentation, as the engine uses it.

Shapes: B images, K classes, H x W pixels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from atmnet.data import Collate, Split, Transform, list_samples, stack_samples
from atmnet.data.dense_transforms import SegmentationEval, SegmentationTrain
from atmnet.data.sources import open_split, read_as
from atmnet.data.targets import IGNORE
from atmnet.tasks.counts import loss_scales
from atmnet.tasks.dense import DenseNetwork
from atmnet.tasks.segmentation_meter import SegmentationMeter
from atmnet.tasks.windows import check_windows, label_map
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions, WindowOptions


class SegmentationTask:
    """Cross-entropy of the main and auxiliary heads over all pixels that are not ignored, measured by mIoU."""

    score_name = "mIoU"
    pairs = False

    def __init__(
        self, network: DenseNetwork, windows: WindowOptions, keep_mistakes: int = 0, flip: bool = False
    ) -> None:
        self.network = network
        self._keep_mistakes, self._flip = keep_mistakes, flip
        self._scales = windows.scales or (1.0,)
        check_windows(windows.window, windows.stride, self._scales)
        self.windows = windows
        self.weights = _class_weights(network.dense.class_weights, network.classes)

    def open(self, data: DataOptions, split: str) -> Split:
        """A split of a data set whose classes are the network's."""
        return open_split(
            read_as(data, self.network.range, "segmentation"), split, "segmentation", self.network.classes
        )

    def train_transform(self) -> Transform:
        """Random size, crop, flip and colours; all crops have the same size."""
        config = self.network.config
        return SegmentationTrain(self.network.dense, config["mean"], config["std"])

    def eval_transform(self) -> Transform:
        """The picture with its shorter side resized to the crop's, the label map in its own size."""
        config = self.network.config
        return SegmentationEval(self.network.dense.crop_size, config["mean"], config["std"])

    @property
    def train_collate(self) -> Collate:
        """Crops (B, 3, H, W), and label maps (B, H, W)."""
        return stack_samples

    @property
    def eval_collate(self) -> Collate:
        """Lists, since images and label maps differ in size."""
        return list_samples

    def mix(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Images and label maps unchanged."""
        return images, targets

    def loss(self, model: Callable[..., list[Tensor]], images: Tensor, targets: Tensor, seeds: Sequence[int]) -> Tensor:
        """Weighted mean cross-entropy over the pixels that are not ignored, of all processes together."""
        targets = targets.long()
        main, *auxiliary = model(images)
        weights = self.weights.to(targets.device)
        total_weight = weights[targets[targets != IGNORE]].sum()
        loss = _cross_entropy(main, targets, weights, total_weight)
        segmenter: Any = self.network.model
        for logits in auxiliary:
            loss = loss + segmenter.aux_weight * _cross_entropy(logits, targets, weights, total_weight)
        return loss * loss_scales(total_weight)

    def outputs(self, model: nn.Module, images: list[Tensor], targets: list[Tensor]) -> list[Tensor]:
        """For each image, a label map (H, W) of the size of its target."""
        windows = self.windows
        return [
            label_map(
                model, image, size=(target.shape[-2], target.shape[-1]), window=windows.window, stride=windows.stride,
                scales=self._scales, flip=self._flip,
            )
            for image, target in zip(images, targets, strict=True)
        ]  # fmt: skip

    def meter(self, device: torch.device) -> SegmentationMeter:
        """mIoU, mean accuracy and pixel accuracy."""
        return SegmentationMeter(self.network.classes, device, self._keep_mistakes)

    def empty_target(self, image: Image.Image) -> Tensor:
        """A label map of the picture's size in which every pixel is ignored."""
        return torch.full((image.height, image.width), IGNORE, dtype=torch.uint8)


def _class_weights(values: list[float] | None, classes: list[str]) -> Tensor:
    """Class weights (K,), scaled so that the smallest positive one is 1; weighted means do not depend on the scale."""
    if values is None:
        return torch.ones(len(classes))
    weights = torch.tensor(values, dtype=torch.float32)
    if len(values) != len(classes) or not (weights >= 0).all() or not 0 < weights.sum() < float("inf"):
        raise UserError(
            f"dense.class_weights: got {values}, expected a number for each of the {len(classes)} classes, all "
            "finite and at least 0, and one or more above 0"
        )
    return weights / weights[weights > 0].min()


def _cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor, total_weight: Tensor) -> Tensor:
    """Weighted mean over the pixels that are not ignored, whose weights add up to ``total_weight``; 0 without any."""
    logits = F.interpolate(logits.float(), targets.shape[-2:], mode="bilinear", align_corners=False)
    losses = F.cross_entropy(logits, targets, weights, ignore_index=IGNORE, reduction="sum")
    return losses / total_weight.clamp(min=1)
