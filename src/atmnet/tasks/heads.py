"""The table of heads. To add a head, write its builder in a file of its own and add a line here.

The names of the heads are also the values of the option ``model.head`` (``atmnet_cli.options.Head``, which cannot
import this module, since help must be instant); a test compares the two.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torchvision.models.detection import FCOS, FasterRCNN, MaskRCNN, RetinaNet

from atmnet.tasks.one_stage import fcos, retinanet, retinanet_v2
from atmnet.tasks.pyramid import ExtraLevels
from atmnet.tasks.segmentation_heads import semantic_fpn, upernet
from atmnet.tasks.task import Kind
from atmnet.tasks.two_stage import cascade_mask_rcnn, faster_rcnn, mask_rcnn
from atmnet_cli.errors import UserError


@dataclass(frozen=True)
class Head:
    """Properties of a head.

    Attributes:
        kind: What a network with this head does.
        build: Builds the head on a pyramid: see :mod:`atmnet.tasks.one_stage`, :mod:`atmnet.tasks.two_stage` and
            :mod:`atmnet.tasks.segmentation_heads`. None for classifiers, which are unchanged timm models.
        neck: Whether the head takes the maps of a feature pyramid network, rather than the backbone's own.
        stages: Detectors: 1, or 2 if the detector first proposes boxes.
        masks: Detectors: whether the head predicts a mask for each object.
        first_label: Detectors: the label of the first class inside torchvision's model. Two-stage detectors take 0 for
            the background.
        first_stride: Stride of the finest map that the head takes.
        extra_levels: Levels that the neck adds to the backbone's.
        anchor_scale: Detectors: the default base size of anchors, as a multiple of the stride.
        signature: Detectors: the callable whose numeric arguments are allowed in ``model.head_kwargs``.
        arguments: Detectors: further arguments allowed there.
    """

    kind: Kind
    build: Callable[..., Any] | None = None
    neck: bool = False
    stages: int = 0
    masks: bool = False
    first_label: int = 0
    first_stride: int = 4
    extra_levels: ExtraLevels | None = None
    anchor_scale: int = 0
    signature: Callable[..., Any] | None = None
    arguments: tuple[str, ...] = ()


def _one_stage(build: Callable[..., nn.Module], signature: Any, extra: ExtraLevels, anchor_scale: int) -> Head:
    return Head(
        "detection", build, neck=True, stages=1, first_stride=8, extra_levels=extra, anchor_scale=anchor_scale,
        signature=signature,
    )  # fmt: skip


def _two_stage(build: Callable[..., nn.Module], signature: Any, masks: bool) -> Head:
    return Head(
        "detection", build, neck=True, stages=2, masks=masks, first_label=1, extra_levels="pool", anchor_scale=8,
        signature=signature, arguments=("representation_size", *(["mask_channels"] if masks else [])),
    )  # fmt: skip


HEADS = {
    "classifier": Head("classification"),
    "multilabel": Head("multilabel"),
    "retinanet": _one_stage(retinanet, RetinaNet, "p6p7", 4),
    "retinanet_v2": _one_stage(retinanet_v2, RetinaNet, "p6p7_from_c5", 4),
    "fcos": _one_stage(fcos, FCOS, "p6p7", 1),
    "faster_rcnn": _two_stage(faster_rcnn, FasterRCNN, masks=False),
    "mask_rcnn": _two_stage(mask_rcnn, MaskRCNN, masks=True),
    "cascade_mask_rcnn": _two_stage(cascade_mask_rcnn, cascade_mask_rcnn, masks=True),
    "semantic_fpn": Head("segmentation", semantic_fpn, neck=True),
    "upernet": Head("segmentation", upernet),
}


def find_head(name: str, kind: Kind | None = None) -> Head:
    """The head called ``name``.

    Args:
        name: A key of :data:`HEADS`.
        kind: What the head must be for; None takes any.

    Raises:
        UserError: If there is no head of this name, or it is of another kind.
    """
    names = [key for key, head in HEADS.items() if kind in (None, head.kind)]
    if name not in names:
        raise UserError(f"model.head: got {name!r}, expected one of {', '.join(names)}")
    return HEADS[name]
