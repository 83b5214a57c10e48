"""Detectors as files: which form is written, what that is held to, and how objects are compared.

Shapes: B images of H x W pixels, N anchors, R boxes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from atmnet.export.job import Outputs
from atmnet.export.plain.anchors import padded
from atmnet.export.plain.one_stage import PlainOneStage, PlainRawOneStage, RawOneStage
from atmnet.export.plain.two_stage import PlainTwoStage
from atmnet.export.verify import Comparison, Difference, farthest
from atmnet.tasks.heads import HEADS
from atmnet_cli.errors import UserError

#: Pixels between their edges from which on two boxes of a class are two objects. Not IoU: boxes may be without area.
_APART = 1.0
#: Share of objects that both must find. Scores that differ in the last digit may pass a threshold, or not.
_AGREED = 0.98


class Form(NamedTuple):
    """How a detector is written.

    Attributes:
        plain: From the model in plain operations to what is written.
        eager: From the model to what that is held to.
        outputs: Names and open axes of what comes out.
        comparison: How both are compared.
        traced: Shape (B, H, W) to trace with: every level has several tokens, whose numbers differ.
    """

    plain: Callable[[Any], nn.Module]
    eager: Callable[[Any], nn.Module]
    outputs: Outputs
    comparison: Comparison
    traced: tuple[int, int, int]


def form_of(head: str, raw: bool) -> Form:
    """The form of a detector with ``head``.

    Raises:
        UserError: For raw outputs of a detector of two stages.
    """
    two_stages = HEADS[head].stages == 2
    if raw and two_stages:
        raise UserError(f"raw: {head} makes its boxes from boxes that are chosen before; it is written whole alone")
    if raw:
        names = ["class_logits", "box_regression", *(["centerness_logits"] if head == "fcos" else [])]
        outputs = {**{name: {0: "batch", 1: "anchors"} for name in names}, "anchors": {0: "anchors"}}
        return Form(PlainRawOneStage, RawOneStage, outputs, _RAW, (2, 192, 320))
    whole: dict[str, dict[int, str]] = {"boxes": {}, "scores": {}, "labels": {}}
    if HEADS[head].masks:
        whole["masks"] = {}
    return Form(PlainTwoStage if two_stages else PlainOneStage, Torchvision, whole, _OBJECTS, (1, 192, 320))


class Torchvision(nn.Module):
    """What torchvision's own code finds in an image that is resized and normalised already.

    Shape:
        Image (1, 3, H, W) -> boxes (R, 4), scores (R,), labels (R,) from 0 without background, and maybe masks
        (R, 1, M, M).
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
            ((found,), _), first = model.roi_heads(maps, proposals, images.image_sizes), 1
        else:
            found, first = _one_stage(model, images, list(maps.values())), 0
        masks = [found["masks"]] if "masks" in found else []
        return (found["boxes"], found["scores"], found["labels"] - first, *masks)


def _one_stage(model: Any, images: ImageList, levels: list[Tensor]) -> dict[str, Tensor]:
    out, anchors = model.head(levels), model.anchor_generator(images, levels)[0]
    tokens = [level.shape[2] * level.shape[3] for level in levels]
    counts = [count * len(anchors) // sum(tokens) for count in tokens]
    split = {name: list(part.split(counts, 1)) for name, part in out.items()}
    return model.postprocess_detections(split, [list(anchors.split(counts))], images.image_sizes)[0]


def object_difference(what: str, ours: list[NDArray[Any]], theirs: list[NDArray[Any]]) -> Difference:
    """Between objects that both found: boxes, scores and masks. Infinite where too many are found by one alone."""
    ours, theirs = _found(ours), _found(theirs)
    pairs = _pairs(ours, theirs)
    if _share(pairs, ours, theirs) < _AGREED:
        return Difference(what, float("inf"), float("inf"), float("inf"))
    return farthest(what, *([part[rows] for part in side] for side, rows in ((ours, pairs[0]), (theirs, pairs[1]))))


def object_agreement(ours: list[NDArray[Any]], theirs: list[NDArray[Any]]) -> float:
    """Share of the objects that both found; NaN where there are none."""
    ours, theirs = _found(ours), _found(theirs)
    return _share(_pairs(ours, theirs), ours, theirs) if len(ours[0]) + len(theirs[0]) else float("nan")


def _found(outputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
    return [part[outputs[1] > 0] for part in outputs]


def _pairs(ours: list[NDArray[Any]], theirs: list[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows of the same objects: of one class, each the other's nearest in place and score, and near enough."""
    if not (len(ours[0]) and len(theirs[0])):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    far = np.abs(ours[0][:, None] - theirs[0]).max(-1) + np.abs(ours[1][:, None] - theirs[1])
    far[ours[2][:, None] != theirs[2]] = np.inf
    rows, nearest = np.arange(len(far)), far.argmin(1)
    mutual = (far.argmin(0)[nearest] == rows) & (far[rows, nearest] < _APART)
    return rows[mutual], nearest[mutual]


def _share(pairs: tuple[NDArray[Any], NDArray[Any]], ours: list[NDArray[Any]], theirs: list[NDArray[Any]]) -> float:
    objects = len(ours[0]) + len(theirs[0])
    return 2 * len(pairs[0]) / objects if objects else 1.0


def _same_of_anchors(ours: list[NDArray[Any]], theirs: list[NDArray[Any]]) -> float:
    return float((ours[0].argmax(-1) == theirs[0].argmax(-1)).mean())


_RAW = Comparison(farthest, _same_of_anchors, "class at {share} of the anchors of {count} pictures")
_OBJECTS = Comparison(object_difference, object_agreement, "objects: {share} of those in {count} pictures")
