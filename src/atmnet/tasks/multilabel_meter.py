"""Metrics of sets of labels, from counts of bounded size.

Shapes: B images, K classes, N bins of logits.
"""

from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from atmnet.tasks.calibration import BINS, count_in_bins
from atmnet.tasks.worst import Worst

#: Logits beyond this, whose probabilities differ from 0 or 1 by 1e-7, are tied.
_FARTHEST = 16.0
#: Bins of equal width of the logits of each class, and the upper limit of those of all classes.
_BINS, _MAX_CELLS = 2048, 2**23


class MultilabelResult(NamedTuple):
    """Metrics over a data set.

    Attributes:
        loss: Mean binary cross-entropy.
        images: Number of images.
        ap: Average precision of each class in percent; NaN for a class that no image has.
        labelled: Images that have each class.
        predicted: Images for which each class has a probability of at least 0.5.
        correct: Images of which both is true.
        worst: Indices of the images with the most wrong labels, the worst first.
        calibration: Labels of all classes and images, sum of their probabilities, and those that the images have
            (3, 15), in bins of probability; see :func:`~atmnet.tasks.calibration.count_in_bins`.
    """

    loss: float
    images: int
    ap: list[float]
    labelled: list[int]
    predicted: list[int]
    correct: list[int]
    worst: list[int]
    calibration: Tensor

    @property
    def f1(self) -> list[float]:
        """F1 of each class at a probability of 0.5, in percent; NaN for a class without labels and predictions."""
        totals = [true + said for true, said in zip(self.labelled, self.predicted, strict=True)]
        return [200 * c / total if total else float("nan") for c, total in zip(self.correct, totals, strict=True)]

    @property
    def metrics(self) -> dict[str, float]:
        """All numbers, by their names in metrics.jsonl. Means are over the classes that an image has; 0 if none."""
        occurring = [k for k, count in enumerate(self.labelled) if count]
        means = {
            name: sum(values[k] for k in occurring) / max(len(occurring), 1)
            for name, values in (("map", self.ap), ("f1", self.f1))
        }
        return {"loss": self.loss, **means, "images": self.images}

    @property
    def score(self) -> float:
        """The mean of the classes' average precision."""
        return self.metrics["map"]

    @property
    def text(self) -> str:
        """The main metrics in one line."""
        metrics = self.metrics
        return f"mAP {metrics['map']:.2f} %, F1 {metrics['f1']:.2f} %, loss {self.loss:.4f} on {self.images} images"


class MultilabelMeter:
    """Counts the images of each class by their logits, in bins, over batches and processes.

    The results are those of torchmetrics with a threshold at each edge of a bin. torchmetrics itself compares every
    score with every threshold, which takes gigabytes for a batch of thousands of classes.

    Args:
        num_classes: K.
        device: Where processes exchange counts.
        keep_mistakes: Number of images to keep, those with the most wrong labels.
    """

    def __init__(self, num_classes: int, device: torch.device, keep_mistakes: int = 0) -> None:
        self._device = device
        self._bins = max(64, min(_BINS, _MAX_CELLS // num_classes // 2 * 2))  # an even number has an edge at 0
        self._counts = torch.zeros(2 * num_classes * self._bins, dtype=torch.int64)
        self._cells = torch.arange(num_classes) * self._bins
        self._sums = torch.zeros(2, dtype=torch.float64)  # loss, images
        self._calibration = torch.zeros(3, BINS, dtype=torch.float64)
        self._worst = Worst(keep_mistakes)

    def update(self, logits: Tensor, targets: Tensor, first: int, stride: int = 1) -> None:
        """Add a batch: logits and targets (B, K); image i has the index ``first + i * stride`` in the data set."""
        logits, targets = logits.float().cpu(), targets.float().cpu()
        losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)
        self._sums += torch.stack([losses.double().sum(), torch.tensor(len(logits))])
        places = (logits.double().nan_to_num(-_FARTHEST) + _FARTHEST) / (2 * _FARTHEST) * self._bins
        bins = places.floor().clamp(0, self._bins - 1).long()
        cells = (targets.long() * len(self._cells) * self._bins + self._cells + bins).flatten()
        self._counts.index_add_(0, cells, torch.ones_like(cells))
        self._calibration += count_in_bins(logits.sigmoid().flatten(), targets.flatten() > 0)
        for number, wrong in enumerate(((logits >= 0) != targets.bool()).sum(1).tolist()):
            self._worst.add(first + number * stride, wrong)

    def result(self) -> MultilabelResult:
        """The metrics over all processes. Every process must call this, and only once."""
        if dist.is_initialized():
            self._sums, self._counts, self._calibration = map(
                self._sum_over_processes, (self._sums, self._counts, self._calibration)
            )
        loss, images = self._sums.tolist()
        negative, positive = self._counts.view(2, len(self._cells), self._bins)
        labelled, correct = positive.sum(1), positive[:, self._bins // 2 :].sum(1)
        predicted = correct + negative[:, self._bins // 2 :].sum(1)
        return MultilabelResult(
            loss / images,
            round(images),
            (100 * average_precision(negative, positive)).tolist(),
            labelled.tolist(),
            predicted.tolist(),
            correct.tolist(),
            self._worst.indices(),
            self._calibration,
        )

    def _sum_over_processes(self, values: Tensor) -> Tensor:
        shared = values.to(self._device)
        dist.all_reduce(shared)
        return shared.cpu()


def average_precision(negative: Tensor, positive: Tensor) -> Tensor:
    """The average precision (K,) of each class, 0 to 1; NaN for a class without positive images.

    Args:
        negative: (K, N), images without the class in each bin, from the lowest scores to the highest.
        positive: The same of images with the class.
    """
    true, false = positive.flip(1).cumsum(1).double(), negative.flip(1).cumsum(1).double()
    precision = true / (true + false).clamp(min=1)
    return (positive.flip(1) * precision).sum(1) / positive.sum(1)
