"""Metrics of semantic segmentation, exact over batches and processes.

Shapes: K classes, H x W pixels.
"""

from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor

from atmnet.data.targets import IGNORE
from atmnet.tasks.confusion import Confusion, marginals
from atmnet.tasks.worst import Worst
from atmnet_cli.errors import UserError


@dataclass(frozen=True)
class SegmentationResult:
    """Metrics over a data set, in percent, from the counts of all its pixels together; IoU is intersection over union.

    Attributes:
        metrics: ``miou``, the mean IoU of the classes that occur in labels or predictions; ``macc``, the mean accuracy
            of the classes that occur in labels; ``aacc``, the share of all pixels that is predicted correctly;
            ``images``. If every pixel is ignored, only ``images``.
        iou: IoU of each of the K classes, NaN for classes that do not occur.
        accuracy: Share of each class's pixels that is predicted correctly, NaN for classes without labelled pixels.
        confusion: Pixels (K, K), true classes as rows; sparse.
        worst: Indices of the images with the largest share of wrong pixels, the worst first, if the meter keeps them.
    """

    metrics: dict[str, float]
    iou: list[float]
    accuracy: list[float]
    confusion: Tensor
    worst: list[int] = field(default_factory=list)

    @property
    def score(self) -> float:
        """mIoU; 0 if every pixel is ignored."""
        return self.metrics.get("miou", 0.0)

    @property
    def text(self) -> str:
        """The main metrics in one line."""
        m = self.metrics
        if "miou" not in m:
            return f"no labelled pixel on {m['images']} images"
        accuracies = f"class accuracy {m['macc']:.2f} %, pixel accuracy {m['aacc']:.2f} %"
        return f"mIoU {m['miou']:.2f} %, {accuracies} on {m['images']} images"


class SegmentationMeter:
    """Counts pixels over batches and processes, from which the metrics follow exactly.

    Args:
        classes: Names of the K classes.
        device: Device of the label maps.
        keep_mistakes: Number of the images with the largest share of wrong pixels to keep.
    """

    def __init__(self, classes: list[str], device: torch.device, keep_mistakes: int = 0) -> None:
        self.classes = classes
        self._confusion = Confusion(len(classes), device)
        self._images = torch.zeros((), dtype=torch.int64, device=device)
        self._worst = Worst(keep_mistakes)

    def update(self, outputs: list[Tensor], targets: list[Tensor], first: int, stride: int = 1) -> None:
        """Add a batch; image i has the index ``first + i * stride`` in the data set.

        Args:
            outputs: Predicted label map (H, W) of each image.
            targets: True label maps of the same sizes; pixels of 255 are ignored.

        Raises:
            UserError: If a true label is not a class.
        """
        k = len(self.classes)
        for output, target in zip(outputs, targets, strict=True):
            counted = target != IGNORE
            true, predicted = target[counted].long(), output[counted].long()
            if len(true) > 0 and true.max() >= k:
                raise UserError(
                    f"data: image {first}: label {int(true.max())} in a label map, expected 0 to {k - 1} or {IGNORE} "
                    "(ignored); `atmnet check-data` lists all such images"
                )
            self._confusion.add(true, predicted)
            if self._worst.keep and len(true) > 0:
                self._worst.add(first, (true != predicted).float().mean().item())
            self._images += 1
            first += stride

    def result(self) -> SegmentationResult:
        """The metrics over all processes. Every process must call this, and only once."""
        if dist.is_initialized():
            dist.all_reduce(self._images)
        confusion = self._confusion.matrix()
        correct, true, predicted = marginals(confusion)
        correct = correct.double()
        iou = 100 * correct / (true + predicted - correct)  # 0 / 0 = NaN: a class that does not occur
        accuracy = 100 * correct / true
        metrics: dict[str, float] = {}
        if pixels := true.sum():
            metrics = {
                "miou": iou.nanmean().item(),
                "macc": accuracy.nanmean().item(),
                "aacc": (100 * correct.sum() / pixels).item(),
            }
        metrics["images"] = int(self._images)
        return SegmentationResult(metrics, iou.tolist(), accuracy.tolist(), confusion, self._worst.indices())
