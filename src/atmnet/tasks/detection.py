"""The task of object detection and instance segmentation, as the engine uses it.

Shapes: N objects of an image of H x W pixels. Here and in the data, labels count classes from 0, without background;
torchvision's two-stage detectors count from 1.
"""

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor, nn

from atmnet.data import Collate, Split, Transform, list_samples
from atmnet.data.dense_transforms import DetectionEval, DetectionTrain
from atmnet.data.sources import open_split, read_as
from atmnet.data.targets import DetectionTarget, no_objects
from atmnet.tasks.counts import loss_scales
from atmnet.tasks.dense import DenseNetwork
from atmnet.tasks.detection_meter import DetectionMeter
from atmnet.tasks.detector import counters_of
from atmnet.tasks.flips import merged_objects
from atmnet.tasks.heads import find_head
from atmnet_cli.options import DataOptions


class DetectionTask:
    """The losses of a torchvision detector, each normalised over all processes, and COCO's average precision."""

    pairs = False

    def __init__(self, network: DenseNetwork, keep_mistakes: int = 0, flip: bool = False) -> None:
        self.network = network
        self._keep_mistakes, self._flip = keep_mistakes, flip
        head = find_head(network.options.head, "detection")
        self._masks, self._first_label = head.masks, head.first_label
        self.score_name = "mask AP" if self._masks else "box AP"

    def open(self, data: DataOptions, split: str) -> Split:
        """A split of a data set whose classes are the network's."""
        return open_split(
            read_as(data, self.network.range, "detection"), split, "detection", self.network.classes, self._masks
        )

    def train_transform(self) -> Transform:
        """Random size, flip and colours."""
        return DetectionTrain(self.network.dense)

    def eval_transform(self) -> Transform:
        """The picture unchanged, since the model resizes it."""
        return DetectionEval()

    @property
    def train_collate(self) -> Collate:
        """Lists, since images differ in size."""
        return list_samples

    @property
    def eval_collate(self) -> Collate:
        """Lists, since images differ in size."""
        return list_samples

    def mix(self, images: list[Tensor], targets: list[DetectionTarget]) -> tuple[list[Tensor], list[DetectionTarget]]:
        """Images and targets unchanged."""
        return images, targets

    def loss(
        self,
        model: Callable[..., dict[str, Tensor]],
        images: list[Tensor],
        targets: list[DetectionTarget],
        seeds: Sequence[int],
    ) -> Tensor:
        """The sum of the detector's losses. Crowd regions are not used as targets."""
        counters = counters_of(self.network.model)
        for counter in counters:
            counter.start(seeds)
        losses = model(images, [self._to_torchvision(target) for target in targets])
        counts = {name: count for counter in counters for name, count in counter.counts().items()}
        if counts:
            for name, scale in zip(counts, loss_scales(torch.stack(list(counts.values()))), strict=True):
                losses[name] = losses[name] * scale
        return torch.stack(list(losses.values())).sum()

    def outputs(
        self, model: nn.Module, images: list[Tensor], targets: list[DetectionTarget]
    ) -> list[dict[str, Tensor]]:
        """For each image boxes (N, 4), labels (N,), scores (N,), and masks (N, 1, H, W) in 0..1 if there are masks."""
        detected = merged_objects(model, images) if self._flip else model(images)
        return [{**objects, "labels": objects["labels"] - self._first_label} for objects in detected]

    def meter(self, device: torch.device) -> DetectionMeter:
        """COCO's average precision and recall."""
        return DetectionMeter(self.network.classes, device, self._masks, self._keep_mistakes)

    def empty_target(self, image: Image.Image) -> DetectionTarget:
        """A target without objects."""
        return no_objects(image.height, image.width)

    def _to_torchvision(self, target: DetectionTarget) -> dict[str, Tensor]:
        kept = ~target.crowd
        objects = {"boxes": target.boxes[kept], "labels": target.labels[kept] + self._first_label}
        if self._masks:
            objects["masks"] = target.masks[kept].to(torch.uint8)
        return objects
