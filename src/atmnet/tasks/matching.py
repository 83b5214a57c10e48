"""Which labelled objects of an image a detector found, missed or invented.

Shapes: N detections and M labelled objects of an image, K classes.
"""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torchvision.ops import box_area, box_iou

from atmnet.data.targets import DetectionTarget
from atmnet.tasks.confusion import Confusion
from atmnet.tasks.worst import Worst

MIN_IOU = 0.5
"""Minimum intersection over union of the boxes of a detection and the labelled object that it matches."""

MIN_SCORE = 0.5
"""Minimum score of a detection to be shown, and to count in :func:`match`."""

BACKGROUND, MISSED = "background", "missed"
"""Names of the row of invented objects, and of the column of missed ones, in tables of :func:`confusions`."""


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


def confusions(output: dict[str, Tensor], target: DetectionTarget, matches: Matches, nothing: int) -> Tensor:
    """Pairs (P, 2) of a true and a predicted class, of each labelled object and of each invented one.

    Objects that were found are pairs of equal classes. Then, in the order of their scores, each other detection takes
    the missed object of another class with the largest IoU, if that is at least :data:`MIN_IOU`. The matrices of
    supervision and faster-coco-eval have no crowd regions, and do not agree with :func:`match`.

    Args:
        output, target: As for :func:`match`.
        matches: Its result.
        nothing: The class that stands for no object, as the truth of a detection, and for no detection of an object.
    """
    boxes, labels, scores = (output[name].cpu() for name in ("boxes", "labels", "scores"))
    true = target.to("cpu")
    found = labels[matches.right].tolist()
    pairs = list(zip(found, found, strict=True))
    missed = matches.missed.nonzero().flatten()
    iou = box_iou(boxes.float(), true.boxes[missed]).nan_to_num()
    free = torch.ones(len(missed), dtype=torch.bool)
    for i in scores.argsort(descending=True, stable=True).tolist():
        if not matches.invented[i]:
            continue
        best = int((iou[i] * free).argmax()) if free.any() else -1
        if best >= 0 and free[best] and iou[i, best] >= MIN_IOU:
            free[best] = False
            pairs.append((int(true.labels[missed[best]]), int(labels[i])))
        else:
            pairs.append((nothing, int(labels[i])))
    pairs += [(label, nothing) for label in true.labels[missed[free]].tolist()]
    return torch.tensor(pairs, dtype=torch.int64).view(-1, 2)


@dataclass(frozen=True)
class ObjectCounts:
    """Numbers of objects of each of the K classes over a data set, and the images with the most errors.

    Attributes:
        labelled: Labelled objects, without crowd regions.
        missed: Those that no detection matches.
        invented: Detections that match no labelled object; see :func:`match`.
        worst: Indices of the images with the most missed and invented objects, the worst first.
        confusion: Pairs of classes (K + 1, K + 1), sparse, with true classes as rows; see :func:`confusions`. The last
            row is of invented objects, the last column of missed ones.
    """

    labelled: list[int]
    missed: list[int]
    invented: list[int]
    worst: list[int]
    confusion: Tensor


class ObjectCounter:
    """Counts objects over batches and processes.

    Args:
        num_classes: Classes K.
        keep: Number of the worst images to keep.
    """

    def __init__(self, num_classes: int, keep: int) -> None:
        self._counts = torch.zeros(3, num_classes, dtype=torch.int64)
        self._worst = Worst(keep)
        self._confusion = Confusion(num_classes + 1, self._counts.device)

    def add(self, index: int, output: dict[str, Tensor], target: DetectionTarget) -> None:
        """Add image ``index`` of the data set."""
        matches = match(output, target)
        true, predicted = target.labels.cpu(), output["labels"].cpu()
        k = self._counts.size(1)
        for row, labels in enumerate((true[~target.crowd.cpu()], true[matches.missed], predicted[matches.invented])):
            self._counts[row] += torch.bincount(labels, minlength=k)
        self._confusion.add(*confusions(output, target, matches, k).unbind(1))
        self._worst.add(index, int(matches.missed.sum() + matches.invented.sum()))

    def result(self) -> ObjectCounts:
        """The counts over all processes. Every process must call this, and only once."""
        counts = self._counts
        if dist.is_initialized():
            parts: list[Tensor] = [counts] * dist.get_world_size()
            dist.all_gather_object(parts, counts)
            counts = torch.stack(parts).sum(0)
        labelled, missed, invented = counts.tolist()
        return ObjectCounts(labelled, missed, invented, self._worst.indices(), self._confusion.matrix())
