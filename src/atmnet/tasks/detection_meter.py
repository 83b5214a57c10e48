"""COCO's average precision and recall, of boxes and masks, over batches and processes.

Shapes: N objects of an image of H x W pixels, K classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from atmnet.data.targets import DetectionTarget
from atmnet_cli.errors import UserError

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
"""torchmetrics' names and ours."""

_STATES = tuple(
    f"{side}_{part}"
    for side, parts in {
        "detection": ("box", "mask", "scores", "labels"),
        "groundtruth": ("box", "mask", "labels", "crowds", "area"),
    }.items()
    for part in parts
)
"""What torchmetrics keeps: lists with an entry for each image, masks as run lengths; without masks, no entries."""


@dataclass(frozen=True)
class DetectionResult:
    """Average precision and recall over a data set, in percent.

    Attributes:
        metrics: ``box_ap`` over IoU 0.50 to 0.95, ``box_ap50``, ``box_ap75``, ``box_ap_s`` (area below 32 x 32
            pixels), ``box_ap_m``, ``box_ap_l`` (above 96 x 96), the recall ``box_ar`` of up to 100 objects an image,
            ``box_ar10`` and ``box_ar1``; the same of ``mask_`` where there are masks; ``images``. What cannot be
            measured, as the precision of small objects where there are none, is left out.
        class_ap: "box" (and "mask"): AP of each of the K classes, NaN for those that do not occur.
    """

    metrics: dict[str, float]
    class_ap: dict[str, list[float]]

    @property
    def score(self) -> float:
        """AP of masks where there are such, else of boxes; 0 where there was nothing to find."""
        return self.metrics.get("mask_ap" if "mask" in self.class_ap else "box_ap", 0.0)

    @property
    def text(self) -> str:
        """One line for people."""
        parts = [
            f"{kind} AP {m[f'{kind}_ap']:.2f} % (AP50 {m[f'{kind}_ap50']:.2f} %, AP75 {m[f'{kind}_ap75']:.2f} %)"
            for m, kind in ((self.metrics, kind) for kind in self.class_ap)
            if f"{kind}_ap" in m
        ]
        return f"{', '.join(parts) or 'nothing to find'} on {self.metrics['images']} images"


class DetectionMeter:
    """Gathers what was found and what is true, from which COCO's metrics follow.

    Crowd regions are neither to be found nor held against what is found in them; objects are small, medium or large
    by their annotated area; of an image's objects of a class, the 100 of the best scores count.

    Args:
        classes: Names of the K classes.
        device: Of the network. What is gathered stays in main memory: boxes, and masks as run lengths.
        masks: Whether there are masks to compare.

    Raises:
        UserError: Where torchmetrics or faster-coco-eval are not installed.
    """

    def __init__(self, classes: list[str], device: torch.device, masks: bool = False) -> None:
        try:
            import faster_coco_eval  # noqa: F401
            from torchmetrics.detection import MeanAveragePrecision
        except ImportError as error:
            raise UserError(f"detection metrics need {error.name}: pip install 'atmnet[dense]'") from error
        self.classes = classes
        self.masks = masks
        self._metric = MeanAveragePrecision(
            iou_type=("bbox", "segm") if masks else "bbox",
            # COCO's own thresholds: torchmetrics' defaults are rounded to float32, which decides ties otherwise.
            iou_thresholds=np.linspace(0.5, 0.95, 10).tolist(),
            rec_thresholds=np.linspace(0, 1, 101).tolist(),
            extended_summary=True,
            backend="faster_coco_eval",
            sync_on_compute=False,  # it takes for granted that all processes have as many images
        )
        self._metric.warn_on_many_detections = False
        self._metric.update([], [])  # a process may have no image at all
        self._numbers: list[int] = []

    def update(
        self, outputs: list[dict[str, Tensor]], targets: list[DetectionTarget], first: int, stride: int = 1
    ) -> None:
        """Add a batch; image i is number ``first + i * stride`` of the data set.

        Args:
            outputs: For each image boxes (N, 4) as x0 y0 x1 y1, labels (N,) from 0, scores (N,), and masks
                (N, 1, H, W), booleans or probabilities, of which more than a half counts.
            targets: What is true of each image.
        """
        self._metric.update([self._found(output) for output in outputs], [self._true(target) for target in targets])
        self._numbers += [first + i * stride for i in range(len(targets))]

    def _found(self, output: dict[str, Tensor]) -> dict[str, Tensor]:
        found = {
            "boxes": output["boxes"].float().cpu(),
            "labels": output["labels"].cpu(),
            "scores": output["scores"].float().cpu(),
        }
        if self.masks:
            found["masks"] = (output["masks"].squeeze(1) > 0.5).to(torch.uint8).cpu()
        return found

    def _true(self, target: DetectionTarget) -> dict[str, Tensor]:
        true = {
            "boxes": target.boxes.cpu(),
            "labels": target.labels.cpu(),
            "iscrowd": target.crowd.int().cpu(),
            "area": target.area.cpu(),
        }
        if self.masks:
            true["masks"] = target.masks.to(torch.uint8).cpu()
        return true

    def result(self) -> DetectionResult:
        """The metrics, over all processes where there are several; to be asked for once, by all of them."""
        self._gather()
        values = self._metric.compute()
        occurring = values["classes"].flatten().tolist()
        metrics: dict[str, float] = {}
        class_ap: dict[str, list[float]] = {}
        for kind, prefix in {"box": "bbox_", "mask": "segm_"}.items() if self.masks else [("box", "")]:
            for theirs, ours in _NAMES.items():
                value = values[prefix + theirs].item()
                if value >= 0:
                    metrics[f"{kind}_{ours}"] = 100 * value
            class_ap[kind] = [torch.nan] * len(self.classes)
            if self._numbers:
                precision = values[f"{prefix}precision"][:, :, :, 0, -1]  # IoU, recall, class; any area, 100 objects
                for label, of_class in zip(occurring, precision.unbind(2), strict=True):
                    if of_class.max() >= 0:
                        class_ap[kind][label] = 100 * of_class[of_class >= 0].mean().item()
        metrics["images"] = len(self._numbers)
        return DetectionResult(metrics, class_ap)

    def _gather(self) -> None:
        """Have all processes' images, in the order of the data set: among equal scores it matters."""
        own = (self._numbers, {name: getattr(self._metric, name) for name in _STATES})
        shares: list[Any] = [own]
        if dist.is_initialized():
            shares = [None] * dist.get_world_size()
            dist.all_gather_object(shares, own)
        numbers = [number for share, _ in shares for number in share]
        order = sorted(range(len(numbers)), key=numbers.__getitem__)
        for name in _STATES:
            entries = [entry for _, states in shares for entry in states[name]]
            setattr(self._metric, name, [entries[i] for i in order] if entries else [])
        self._numbers = [numbers[i] for i in order]
