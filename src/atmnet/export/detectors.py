"""Detectors as files: what is written, what it is compared with, and how objects are compared.

Shapes: B images of H x W pixels, N anchors, R boxes.
"""

import copy
from typing import Any, cast

import numpy as np
from PIL import Image
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from atmnet.data.dense_transforms import DetectionEval
from atmnet.data.targets import no_objects
from atmnet.export.dense_pictures import Normalisation, dense_config, preparation
from atmnet.export.plain.anchors import padded
from atmnet.export.plain.one_stage import PlainOneStage, PlainRawOneStage, RawOneStage, raw_output_names
from atmnet.export.plain.two_stage import PlainTwoStage
from atmnet.export.settings import ExportSettings
from atmnet.export.subject import Outputs, Subject
from atmnet.export.verify import Comparison, Difference, farthest
from atmnet.tasks import DenseNetwork, Head, Network, find_head
from atmnet_cli.errors import UserError
from atmnet_runtime import Array

#: Two boxes of a class are different objects if their edges are this many pixels apart. IoU would fail for boxes
#: without area.
_APART = 1.0
#: Share of objects that both must find. Scores that differ in the last digit may or may not pass a threshold.
_AGREED = 0.98


def describe_detector(network: Network, settings: ExportSettings) -> Subject:
    """What is exported of a detector: objects, or with ``settings.raw`` the outputs of the head.

    Raises:
        UserError: For raw outputs of a detector of two stages.
    """
    detector = cast(DenseNetwork, network)
    head = find_head(detector.options.head, "detection")
    if settings.raw and head.stages == 2:
        raise UserError(
            f"raw: {detector.options.head} has no raw outputs, because its second stage takes boxes that the first has "
            "chosen; leave it out"
        )
    trained, longest = detector.dense.img_sizes[-1], detector.dense.max_img_size
    shorter = settings.img_size or trained
    longest = round(shorter * longest / trained)
    config = dense_config(detector, shorter, shorter, longest, raw=settings.raw)
    transform: Any = copy.deepcopy(network.model.transform)
    transform.min_size, transform.max_size = (shorter,), longest

    def resize(image: Image.Image, mean: Normalisation, std: Normalisation) -> Tensor:
        values, _ = DetectionEval()(image, no_objects(image.height, image.width))
        transform.image_mean, transform.image_std = mean, std
        return transform.resize(transform.normalize(values))[0]

    prepare = preparation(resize, config, settings.pixels)
    if settings.raw:
        outputs = _raw_outputs(network.model)
        return Subject(config, PlainRawOneStage, RawOneStage, outputs, _RAW, (2, 192, 320), prepare)
    to_outputs = PlainTwoStage if head.stages == 2 else PlainOneStage
    return Subject(config, to_outputs, TorchvisionDetector, _objects(head), _OBJECTS, (1, 192, 320), prepare)


def _raw_outputs(model: nn.Module) -> Outputs:
    return {**{name: {0: "batch", 1: "anchors"} for name in raw_output_names(model)}, "anchors": {0: "anchors"}}


def _objects(head: Head) -> Outputs:
    return {name: {} for name in ("boxes", "scores", "labels", *(["masks"] if head.masks else []))}


class TorchvisionDetector(nn.Module):
    """The objects that torchvision's own code finds in an image that is already resized and normalised.

    Shape:
        Image (1, 3, H, W) -> boxes (R, 4), scores (R,), labels (R,) from 0 without background, and for some
        detectors masks (R, 1, M, M).
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        model = self.model
        images = ImageList(padded(image, model.transform.size_divisible), [(image.shape[2], image.shape[3])])
        maps = model.backbone(images.tensors)
        if hasattr(model, "rpn"):
            proposals, _ = model.rpn(images, maps)
            ((objects,), _), first_label = model.roi_heads(maps, proposals, images.image_sizes), 1
        else:
            objects, first_label = _one_stage(model, images, list(maps.values())), 0
        masks = [objects["masks"]] if "masks" in objects else []
        return (objects["boxes"], objects["scores"], objects["labels"] - first_label, *masks)


def _one_stage(model: Any, images: ImageList, levels: list[Tensor]) -> dict[str, Tensor]:
    out, anchors = model.head(levels), model.anchor_generator(images, levels)[0]
    tokens = [level.shape[2] * level.shape[3] for level in levels]
    counts = [count * len(anchors) // sum(tokens) for count in tokens]
    split = {name: list(part.split(counts, 1)) for name, part in out.items()}
    return model.postprocess_detections(split, [list(anchors.split(counts))], images.image_sizes)[0]


def object_difference(what: str, ours: list[Array], theirs: list[Array]) -> Difference:
    """The difference of the objects that both found, in boxes, scores and masks; infinite if these are too few."""
    ours, theirs = _objects_of(ours), _objects_of(theirs)
    pairs = _pairs(ours, theirs)
    if _share(pairs, ours, theirs) < _AGREED:
        return Difference(what, float("inf"), float("inf"), float("inf"))
    return farthest(what, *([part[rows] for part in side] for side, rows in ((ours, pairs[0]), (theirs, pairs[1]))))


def object_agreement(ours: list[Array], theirs: list[Array]) -> float:
    """The share of the objects that both found; NaN if there are none."""
    ours, theirs = _objects_of(ours), _objects_of(theirs)
    return _share(_pairs(ours, theirs), ours, theirs) if len(ours[0]) + len(theirs[0]) else float("nan")


def _objects_of(outputs: list[Array]) -> list[Array]:
    return [part[outputs[1] > 0] for part in outputs]


def _pairs(ours: list[Array], theirs: list[Array]) -> tuple[Array, Array]:
    """Rows of the same objects: of one class, each nearest to the other in place and score, and close enough."""
    if not (len(ours[0]) and len(theirs[0])):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    far = np.abs(ours[0][:, None] - theirs[0]).max(-1) + np.abs(ours[1][:, None] - theirs[1])
    far[ours[2][:, None] != theirs[2]] = np.inf
    rows, nearest = np.arange(len(far)), far.argmin(1)
    mutual = (far.argmin(0)[nearest] == rows) & (far[rows, nearest] < _APART)
    return rows[mutual], nearest[mutual]


def _share(pairs: tuple[Array, Array], ours: list[Array], theirs: list[Array]) -> float:
    objects = len(ours[0]) + len(theirs[0])
    return 2 * len(pairs[0]) / objects if objects else 1.0


def _same_anchors(ours: list[Array], theirs: list[Array]) -> float:
    return float((ours[0].argmax(-1) == theirs[0].argmax(-1)).mean())


_RAW = Comparison(farthest, _same_anchors, "class at {share} of the anchors of {count} pictures")
_OBJECTS = Comparison(object_difference, object_agreement, "objects: {share} of those in {count} pictures")
