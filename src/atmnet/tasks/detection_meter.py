"""COCO's average precision and recall for boxes and masks, over batches and processes.

Shapes: N objects of an image of H x W pixels, K classes.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from atmnet.data.targets import DetectionTarget
from atmnet.tasks.matching import ObjectCounter, ObjectCounts
from atmnet_cli.errors import UserError, install

_NAMES = {
    "map": "ap",
    "map_50": "ap50",
    "map_75": "ap75",
    "map_small": "ap_s",
    "map_medium": "ap_m",
    "map_large": "ap_l",
    "mar_1": "ar1",
    "mar_10": "ar10",
    "mar_100": "ar",
}
"""torchmetrics' names -> the names in metrics.jsonl."""

_STATES = tuple(
    f"{side}_{part}"
    for side, parts in {
        "detection": ("box", "mask", "scores", "labels"),
        "groundtruth": ("box", "mask", "labels", "crowds", "area"),
    }.items()
    for part in parts
)
"""torchmetrics' states: lists with one entry per image, masks run-length encoded; without masks, theirs are empty."""

# COCO's own thresholds: torchmetrics rounds its defaults to float32, which changes ties.
_IOUS = np.linspace(0.5, 0.95, 10).tolist()
_RECALLS = np.linspace(0, 1, 101).tolist()


@dataclass(frozen=True)
class DetectionResult:
    """Average precision and recall over a data set, in percent.

    Attributes:
        metrics: ``box_ap`` over IoU 0.50 to 0.95, ``box_ap50``, ``box_ap75``, ``box_ap_s`` (area below 32 x 32
            pixels), ``box_ap_m``, ``box_ap_l`` (above 96 x 96), the recall ``box_ar`` with up to 100 objects per
            image, ``box_ar10`` and ``box_ar1``; the same with ``mask_`` if the head has masks; ``images``. A metric
            that cannot be measured, such as the precision of small objects if there are none, is left out.
        class_ap: By "box" and, if the head has masks, "mask": AP of each of the K classes, NaN for classes that do not
            occur.
        precision: By "box" and "mask": precision (10, 101, K), 0 to 1, at the IoU thresholds 0.50, 0.55, ... 0.95 and
            the recalls 0, 0.01, ... 1; NaN for classes that do not occur.
        counts: Missed and invented objects, if the meter counts them.
    """

    metrics: dict[str, float]
    class_ap: dict[str, list[float]]
    precision: dict[str, Tensor] = field(default_factory=dict)
    counts: ObjectCounts | None = None

    @property
    def score(self) -> float:
        """AP of masks if the head has masks, else of boxes; 0 if no image contains an object."""
        return self.metrics.get("mask_ap" if "mask" in self.class_ap else "box_ap", 0.0)

    @property
    def text(self) -> str:
        """The main metrics in one line."""
        parts = [
            f"{kind} AP {m[f'{kind}_ap']:.2f} % (AP50 {m[f'{kind}_ap50']:.2f} %, AP75 {m[f'{kind}_ap75']:.2f} %)"
            for m, kind in ((self.metrics, kind) for kind in self.class_ap)
            if f"{kind}_ap" in m
        ]
        return f"{', '.join(parts) or 'no labelled object'} on {self.metrics['images']} images"


class DetectionMeter:
    """Collects predicted and labelled objects, from which COCO's metrics follow.

    Crowd regions need not be detected, and detections inside them do not count as errors. Objects are small, medium or
    large by their annotated area. For each image and class, the 100 detections with the highest scores count.

    Args:
        classes: Names of the K classes.
        device: Device of the network. Boxes and run-length encoded masks are collected in main memory.
        masks: Whether to compare masks, too.
        keep_mistakes: Number of the images with the most missed and invented objects to keep; 0 does not count these.

    Raises:
        UserError: If torchmetrics or faster-coco-eval is not installed.
    """

    def __init__(self, classes: list[str], device: torch.device, masks: bool = False, keep_mistakes: int = 0) -> None:
        try:
            import faster_coco_eval  # noqa: F401
            from torchmetrics.detection import MeanAveragePrecision
        except ImportError as error:
            raise UserError(f"detection metrics need {error.name}: {install('dense')}") from error
        self.classes = classes
        self.masks = masks
        self._metric = MeanAveragePrecision(
            iou_type=("bbox", "segm") if masks else "bbox",
            iou_thresholds=_IOUS,
            rec_thresholds=_RECALLS,
            extended_summary=True,
            backend="faster_coco_eval",
            sync_on_compute=False,  # it assumes that all processes have equally many images
        )
        self._metric.warn_on_many_detections = False
        self._metric.update([], [])  # a process may have no image at all
        self._indices: list[int] = []
        self._counter = ObjectCounter(len(classes), keep_mistakes) if keep_mistakes else None

    def update(
        self, outputs: list[dict[str, Tensor]], targets: list[DetectionTarget], first: int, stride: int = 1
    ) -> None:
        """Add a batch; image i has the index ``first + i * stride`` in the data set.

        Args:
            outputs: For each image boxes (N, 4) as x0 y0 x1 y1, labels (N,) from 0, scores (N,), and masks
                (N, 1, H, W), which are boolean or probabilities, then thresholded at 0.5.
            targets: Labelled objects of each image.
        """
        self._metric.update(
            [self._prediction(output) for output in outputs], [self._label(target) for target in targets]
        )
        indices = [first + i * stride for i in range(len(targets))]
        self._indices += indices
        if self._counter is not None:
            for index, output, target in zip(indices, outputs, targets, strict=True):
                self._counter.add(index, output, target)

    def _prediction(self, output: dict[str, Tensor]) -> dict[str, Tensor]:
        prediction = {
            "boxes": output["boxes"].float().cpu(),
            "labels": output["labels"].cpu(),
            "scores": output["scores"].float().cpu(),
        }
        if self.masks:
            prediction["masks"] = (output["masks"].squeeze(1) > 0.5).to(torch.uint8).cpu()
        return prediction

    def _label(self, target: DetectionTarget) -> dict[str, Tensor]:
        label = {
            "boxes": target.boxes.cpu(),
            "labels": target.labels.cpu(),
            "iscrowd": target.crowd.int().cpu(),
            "area": target.area.cpu(),
        }
        if self.masks:
            label["masks"] = target.masks.to(torch.uint8).cpu()
        return label

    def result(self) -> DetectionResult:
        """The metrics over all processes. Every process must call this, and only once."""
        self._gather()
        values = self._metric.compute()
        occurring = values["classes"].flatten().tolist()
        metrics: dict[str, float] = {}
        class_ap: dict[str, list[float]] = {}
        precisions: dict[str, Tensor] = {}
        for kind, prefix in {"box": "bbox_", "mask": "segm_"}.items() if self.masks else [("box", "")]:
            for theirs, ours in _NAMES.items():
                value = values[prefix + theirs].item()
                if value >= 0:
                    metrics[f"{kind}_{ours}"] = 100 * value
            class_ap[kind] = [torch.nan] * len(self.classes)
            precisions[kind] = torch.full((len(_IOUS), len(_RECALLS), len(self.classes)), torch.nan)
            if self._indices:
                precision = values[f"{prefix}precision"][:, :, :, 0, -1]  # IoU, recall, class; any area, 100 objects
                for label, class_precision in zip(occurring, precision.unbind(2), strict=True):
                    if class_precision.max() >= 0:
                        class_ap[kind][label] = 100 * class_precision[class_precision >= 0].mean().item()
                        precisions[kind][:, :, label] = class_precision
        metrics["images"] = len(self._indices)
        counts = None if self._counter is None else self._counter.result()
        return DetectionResult(metrics, class_ap, precisions, counts)

    def _gather(self) -> None:
        """Collect the images of all processes in the order of the data set, which decides between equal scores."""
        own = (self._indices, {name: getattr(self._metric, name) for name in _STATES})
        parts: list[Any] = [own]
        if dist.is_initialized():
            parts = [None] * dist.get_world_size()
            dist.all_gather_object(parts, own)
        indices = [index for of_process, _ in parts for index in of_process]
        order = sorted(range(len(indices)), key=indices.__getitem__)
        for name in _STATES:
            entries = [entry for _, states in parts for entry in states[name]]
            setattr(self._metric, name, [entries[i] for i in order] if entries else [])
        self._indices = [indices[i] for i in order]
