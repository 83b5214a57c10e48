"""Metrics of classification, exact over batches and processes.

Shapes: B images, K classes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from atmnet.tasks.calibration import BINS, count_in_bins
from atmnet.tasks.confusion import Confusion

_TOP = 5


@dataclass(frozen=True)
class Mistake:
    """A wrongly classified image: index in the data set, true class, predicted class and probability of the latter."""

    index: int
    target: int
    predicted: int
    confidence: float


class ClassificationResult(NamedTuple):
    """Metrics over a data set.

    Attributes:
        loss: Mean cross-entropy.
        top1: Accuracy in percent.
        top5: Share of images in percent whose class is among the five most probable ones; None if there are at most
            five classes, since it would be 100 %.
        images: Number of images.
        confusion: Confusion matrix (K, K) with true classes as rows, sparse.
        mistakes: The most confident mistakes, the most confident first.
        calibration: Images, sum of confidences and correct images (3, 15) in bins of confidence; see
            :func:`~atmnet.tasks.calibration.count_in_bins`.
    """

    loss: float
    top1: float
    top5: float | None
    images: int
    confusion: Tensor
    mistakes: list[Mistake]
    calibration: Tensor

    @property
    def metrics(self) -> dict[str, float]:
        """All numbers, by their names in metrics.jsonl."""
        top5 = {} if self.top5 is None else {"top5": self.top5}
        return {"loss": self.loss, "top1": self.top1, **top5, "images": self.images}

    @property
    def score(self) -> float:
        """Top-1 accuracy."""
        return self.top1

    @property
    def text(self) -> str:
        """The main metrics in one line."""
        top5 = "" if self.top5 is None else f"top-5 {self.top5:.2f} %, "
        return f"top-1 {self.top1:.2f} %, {top5}loss {self.loss:.4f} on {self.images} images"


class ClassificationMeter:
    """Accumulates sums over batches and processes, from which the metrics follow exactly."""

    def __init__(self, num_classes: int, device: torch.device, keep_mistakes: int = 0) -> None:
        self.num_classes = num_classes
        self.keep_mistakes = keep_mistakes
        self._top = min(_TOP, num_classes)
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._sums = torch.zeros(4, dtype=dtype, device=device)  # loss, top-1, top-5, images
        self._confusion = Confusion(num_classes, device)
        self._bins = torch.zeros(3, BINS, dtype=torch.float64)
        self._mistakes: list[Mistake] = []

    def update(self, logits: Tensor, targets: Tensor, first: int, stride: int = 1) -> None:
        """Add a batch: logits (B, K), targets (B,); image i has the index ``first + i * stride`` in the data set."""
        logits = logits.float()
        losses = F.cross_entropy(logits, targets, reduction="none")
        top_classes = logits.topk(self._top).indices
        hits = top_classes == targets.unsqueeze(1)
        self._sums[:3] += torch.stack([losses.to(self._sums).sum(), hits[:, 0].sum(), hits.sum()])
        self._sums[3] += len(targets)
        self._confusion.add(targets, top_classes[:, 0])
        probabilities = logits.softmax(1)
        confidences = probabilities.gather(1, top_classes[:, :1])[:, 0]
        self._bins += count_in_bins(confidences.cpu(), hits[:, 0].cpu())
        if self.keep_mistakes:
            for i in (~hits[:, 0]).nonzero().flatten().tolist():
                predicted = int(top_classes[i, 0])
                mistake = Mistake(first + i * stride, int(targets[i]), predicted, float(probabilities[i, predicted]))
                self._mistakes.append(mistake)
            self._keep_most_confident()

    def _keep_most_confident(self) -> None:
        self._mistakes = sorted(self._mistakes, key=lambda m: (-m.confidence, m.index))[: self.keep_mistakes]

    def result(self) -> ClassificationResult:
        """The metrics over all processes. Every process must call this, and only once."""
        if dist.is_initialized():
            dist.all_reduce(self._sums)
            bins: list[Tensor] = [self._bins] * dist.get_world_size()
            dist.all_gather_object(bins, self._bins)
            self._bins = torch.stack(bins).sum(0)
            mistakes: list[list[Mistake]] = [[] for _ in range(dist.get_world_size())]
            dist.all_gather_object(mistakes, self._mistakes)
            self._mistakes = [mistake for of_process in mistakes for mistake in of_process]
            self._keep_most_confident()
        loss, top1, top5, images = self._sums.tolist()
        confusion = self._confusion.matrix()
        return ClassificationResult(
            loss / images,
            100 * top1 / images,
            100 * top5 / images if self.num_classes > _TOP else None,
            round(images),
            confusion,
            self._mistakes,
            self._bins,
        )
