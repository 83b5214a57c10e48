"""Which labelled objects of an image a detector found, missed or invented.

Shapes: N detections and M labelled objects of an image, K classes.
"""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torchvision.ops import box_area, box_iou

from atmnet.data.targets import DetectionTarget
from atmnet.tasks.worst import Worst

MIN_IOU = 0.5
"""Minimum intersection over union of the boxes of a detection and the labelled object that it matches."""

MIN_SCORE = 0.5
"""Minimum score of a detection to be shown, and to count in :func:`match`."""


@dataclass(frozen=True)
class Matches:
    """The result of :func:`match`.

    Attributes:
        right: (N,) bool, detections that match a labelled object.
        invented: (N,) bool, detections that match none.
        missed: (M,) bool, labelled objects that no detection matches; never crowd regions.
    """

    right: Tensor
    invented: Tensor
    missed: Tensor


def match(output: dict[str, Tensor], target: DetectionTarget) -> Matches:
    """Match detections of a score of at least :data:`MIN_SCORE` with labelled objects of the same class.

    In the order of their scores, each detection takes the free object of its class with the largest IoU of the boxes,
    if that is at least :data:`MIN_IOU`. Without one it is invented, unless half of it lies in a crowd region of its
    class. Detections of lower scores are neither right nor invented.

    Args:
        output: boxes (N, 4), labels (N,) and scores (N,) of an image; see ``DetectionTask.outputs``.
        target: The M labelled objects.
    """
    boxes, labels, scores = (output[name].cpu() for name in ("boxes", "labels", "scores"))
    true = target.to("cpu")
    right, invented = torch.zeros(2, len(boxes), dtype=torch.bool)
    free = ~true.crowd
    boxes = boxes.float()
    same_class = labels[:, None] == true.labels[None]
    iou = box_iou(boxes, true.boxes).nan_to_num() * same_class
    areas, true_areas = box_area(boxes)[:, None], box_area(true.boxes)[None]
    intersection = iou * (areas + true_areas) / (1 + iou)
    in_crowd = ((intersection >= 0.5 * areas) & same_class & true.crowd[None]).any(1)
    for i in scores.argsort(descending=True, stable=True).tolist():
        if scores[i] < MIN_SCORE:
            break
        candidates = iou[i] * free
        best = int(candidates.argmax()) if len(candidates) else -1
        if best >= 0 and candidates[best] >= MIN_IOU:
            right[i], free[best] = True, False
        else:
            invented[i] = not in_crowd[i]
    return Matches(right, invented, free)


@dataclass(frozen=True)
class ObjectCounts:
    """Numbers of objects of each of the K classes over a data set, and the images with the most errors.

    Attributes:
        labelled: Labelled objects, without crowd regions.
        missed: Those that no detection matches.
        invented: Detections that match no labelled object; see :func:`match`.
        worst: Indices of the images with the most missed and invented objects, the worst first.
    """

    labelled: list[int]
    missed: list[int]
    invented: list[int]
    worst: list[int]


class ObjectCounter:
    """Counts objects over batches and processes.

    Args:
        num_classes: Classes K.
        keep: Number of the worst images to keep.
    """

    def __init__(self, num_classes: int, keep: int) -> None:
        self._counts = torch.zeros(3, num_classes, dtype=torch.int64)
        self._worst = Worst(keep)

    def add(self, index: int, output: dict[str, Tensor], target: DetectionTarget) -> None:
        """Add image ``index`` of the data set."""
        matches = match(output, target)
        true, predicted = target.labels.cpu(), output["labels"].cpu()
        k = self._counts.size(1)
        for row, labels in enumerate((true[~target.crowd.cpu()], true[matches.missed], predicted[matches.invented])):
            self._counts[row] += torch.bincount(labels, minlength=k)
        self._worst.add(index, int(matches.missed.sum() + matches.invented.sum()))

    def result(self) -> ObjectCounts:
        """The counts over all processes. Every process must call this, and only once."""
        counts = self._counts
        if dist.is_initialized():
            parts: list[Tensor] = [counts] * dist.get_world_size()
            dist.all_gather_object(parts, counts)
            counts = torch.stack(parts).sum(0)
        labelled, missed, invented = counts.tolist()
        return ObjectCounts(labelled, missed, invented, self._worst.indices())
