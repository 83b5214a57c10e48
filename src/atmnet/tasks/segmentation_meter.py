"""Metrics of semantic segmentation, exact over batches and processes.

Shapes: K classes, H x W pixels.
"""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from atmnet.data.targets import IGNORE
from atmnet_cli.errors import UserError


@dataclass(frozen=True)
class SegmentationResult:
    """Metrics over a data set, in percent, from the counts of all its pixels together; IoU is intersection over union.

    Attributes:
        metrics: ``miou``, the mean IoU of the classes that occur, in the truth or as a prediction; ``macc``, the mean
            share of a class's pixels that is found; ``aacc``, the share of all pixels that is right; ``images``. Where
            every pixel is to be ignored, only ``images``.
        iou: Of each of the K classes, NaN for those that do not occur.
        accuracy: Likewise, NaN for those that do not occur in the truth.
        confusion: Pixels (K, K), true classes as rows.
    """

    metrics: dict[str, float]
    iou: list[float]
    accuracy: list[float]
    confusion: Tensor

    @property
    def score(self) -> float:
        """mIoU; 0 where every pixel is to be ignored."""
        return self.metrics.get("miou", 0.0)

    @property
    def text(self) -> str:
        """One line for people."""
        m = self.metrics
        if "miou" not in m:
            return f"no labelled pixel on {m['images']} images"
        accuracies = f"class accuracy {m['macc']:.2f} %, pixel accuracy {m['aacc']:.2f} %"
        return f"mIoU {m['miou']:.2f} %, {accuracies} on {m['images']} images"


class SegmentationMeter:
    """Counts of pixels over batches, and over processes, from which the metrics follow exactly.

    Args:
        classes: Names of the K classes.
        device: Where the label maps are.
    """

    def __init__(self, classes: list[str], device: torch.device) -> None:
        self.classes = classes
        self._confusion = torch.zeros(len(classes) ** 2, dtype=torch.int64, device=device)
        self._images = torch.zeros((), dtype=torch.int64, device=device)

    def update(self, outputs: list[Tensor], targets: list[Tensor], first: int, stride: int = 1) -> None:
        """Add a batch; image i is number ``first + i * stride`` of the data set.

        Args:
            outputs: Predicted label map (H, W) of each image.
            targets: True label maps of the same sizes, in which 255 is to be ignored.

        Raises:
            UserError: For a true label that is no class.
        """
        k = len(self.classes)
        for output, target in zip(outputs, targets, strict=True):
            counted = target != IGNORE
            true, predicted = target[counted].long(), output[counted].long()
            pixels = torch.bincount(true * k + predicted, minlength=k * k)
            if len(pixels) > k * k:
                raise UserError(
                    f"data: image {first}: label {int(true.max())} in a label map, expected 0 to {k - 1} or {IGNORE} "
                    "(ignored); `atmnet check-data` lists all"
                )
            self._confusion += pixels
            self._images += 1
            first += stride

    def result(self) -> SegmentationResult:
        """The metrics, over all processes where there are several; to be asked for once, by all of them."""
        if dist.is_initialized():
            dist.all_reduce(self._confusion)
            dist.all_reduce(self._images)
        confusion = self._confusion.view(len(self.classes), -1).cpu()
        right, true, predicted = confusion.diagonal().double(), confusion.sum(1), confusion.sum(0)
        iou = 100 * right / (true + predicted - right)  # 0 / 0 = NaN: a class that does not occur
        accuracy = 100 * right / true
        metrics: dict[str, float] = {}
        if confusion.sum():
            metrics = {
                "miou": iou.nanmean().item(),
                "macc": accuracy.nanmean().item(),
                "aacc": (100 * right.sum() / confusion.sum()).item(),
            }
        metrics["images"] = int(self._images)
        return SegmentationResult(metrics, iou.tolist(), accuracy.tolist(), confusion)
