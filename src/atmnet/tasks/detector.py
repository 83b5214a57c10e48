"""torchvision's detectors, and Cascade Mask R-CNN, on any pyramid.

In: in training a list of images (3, H, W) in 0..1 and of targets (boxes, labels, masks), as torchvision takes them, at
the size to be trained at; in evaluation images alone, of any size. Out: a dict of losses; or for each image boxes,
labels, scores, and masks (N, 1, H, W) where the detector has such.

Losses by head:
    retinanet, retinanet_v2: ``classification``, ``bbox_regression``; means over images
    fcos: ``classification``, ``bbox_regression``, ``bbox_ctrness``; over all foreground positions
    faster_rcnn, mask_rcnn: ``loss_objectness``, ``loss_rpn_box_reg``; over anchors drawn. ``loss_classifier``,
        ``loss_box_reg``; over proposals drawn. ``loss_mask``; over objects among these
    cascade_mask_rcnn: the same, with ``_1``, ``_2``, ``_3`` for the stages at the end of the last three
"""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only
from torchvision.models.detection import FCOS, FasterRCNN, MaskRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.rpn import RPNHead

from atmnet.heads import CascadeRoIHeads, FCOSHead, PositionSampler, RoIAlign, SampleCounter
from atmnet.tasks.pyramid import Extra, pyramid
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.options import DenseOptions, ModelOptions

#: Label of the first class in torchvision's model: two-stage detectors take 0 for the background.
FIRST_LABEL = {
    "retinanet": 0, "retinanet_v2": 0, "fcos": 0, "faster_rcnn": 1, "mask_rcnn": 1, "cascade_mask_rcnn": 1,
}  # fmt: skip
#: Heads that predict masks.
WITH_MASKS = ("mask_rcnn", "cascade_mask_rcnn")

_EXTRA: dict[str, Extra] = {"retinanet": "p6p7", "retinanet_v2": "p6p7_from_c5", "fcos": "p6p7"}
_RATIOS = (0.5, 1.0, 2.0)
_MODELS: dict[str, Callable[..., nn.Module]] = {
    "retinanet": RetinaNet, "retinanet_v2": RetinaNet, "fcos": FCOS,
    "faster_rcnn": FasterRCNN, "mask_rcnn": MaskRCNN, "cascade_mask_rcnn": MaskRCNN,
}  # fmt: skip


def build_detector(options: ModelOptions, dense: DenseOptions, num_classes: int) -> nn.Module:
    """A detector with initialised weights. One-stage heads take the maps from stride 8 on, two-stage heads all.

    Args:
        options: Backbone, neck, and head with its arguments; see :func:`assemble_detector`.
        dense: Sizes of images.
        num_classes: Classes, without background.

    Raises:
        UserError: For a backbone without feature maps, or arguments that something does not take.
    """
    one_stage = options.head in _EXTRA
    body = pyramid(options, extra=_EXTRA.get(options.head, "pool"), first_stride=8 if one_stage else 4)
    return assemble_detector(
        body,
        options.head,
        num_classes,
        strides=body.strides,
        sides=dense.sides,
        longest=dense.longest,
        mean=body.config["mean"],
        std=body.config["std"],
        head_kwargs=options.head_kwargs,
    )


def assemble_detector(
    body: Any,
    head: str,
    num_classes: int,
    *,
    strides: Sequence[int],
    sides: Sequence[int] = (800,),
    longest: int = 1333,
    mean: Sequence[float] = (0.485, 0.456, 0.406),
    std: Sequence[float] = (0.229, 0.224, 0.225),
    head_kwargs: dict[str, Any] | None = None,
) -> nn.Module:
    """A detector on a given pyramid, as torchvision assembles its own.

    Args:
        body: Images (B, 3, H, W) -> OrderedDict of maps, those of the backbone named '0', '1', ..., with the number of
            their channels in ``out_channels``. After the backbone's maps come two more for one-stage heads, one for
            others, each of twice the stride.
        head: A key of :data:`FIRST_LABEL`.
        num_classes: Classes, without background.
        strides: Strides of the backbone's maps.
        sides: The last is the shorter side that images are resized to in evaluation; in training they stay.
        longest: What the longer side may not exceed.
        mean, std: Of the images that the backbone expects.
        head_kwargs: Arguments of torchvision's detector, numbers all, and

            - ``anchor_sizes``: base size of anchors at each level in pixels. Default: torchvision's, which is a
              multiple of the stride: 4 for RetinaNets, 1 for FCOS, 8 for the others;
            - ``representation_size`` (two-stage heads): hidden units of the box head, default 1024;
            - ``mask_channels`` (heads with masks): channels of the mask head, default 256.

    Raises:
        UserError: For an unknown head or argument, or a value that does not fit.
    """
    if head not in _MODELS:
        raise UserError(f"model.head: got {head!r}, expected one of {', '.join(_MODELS)}")
    given = dict(head_kwargs or {})
    _check_names(head, given)
    one_stage = head in _EXTRA
    every = [*strides, *(strides[-1] * 2**k for k in range(1, 3 if one_stage else 2))]
    sizes = given.pop("anchor_sizes", None) or [{"fcos": 1}.get(head, 4 if one_stage else 8) * s for s in every]
    if len(sizes) != len(every):
        raise UserError(f"model.head_kwargs: anchor_sizes: got {len(sizes)}, expected {len(every)}: strides {every}")
    common = {
        "min_size": sides[-1], "max_size": longest, "image_mean": list(mean), "image_std": list(std),
        "_skip_resize": True,
    }  # fmt: skip
    try:
        if one_stage:
            model = _one_stage(body, head, num_classes, sizes, {**common, **given})
        else:
            model = _two_stage(body, head, num_classes + 1, sizes, strides, common, given)
    except (TypeError, ValueError) as error:
        raise UserError(f"model.head_kwargs: {head}: {first_line(error)}") from error
    for module in model.modules():
        if isinstance(module, RetinaNetHead | FCOSHead | RPNHead | FastRCNNPredictor):
            module.register_forward_hook(_wide)
    return model


def counters_of(model: nn.Module) -> list[SampleCounter]:
    """All in a detector that must know the images' seeds, or knows over how many things losses are means."""
    parts = [part for module in model.modules() for part in (module, getattr(module, "fg_bg_sampler", None))]
    return [part for part in parts if isinstance(part, PositionSampler | FCOSHead)]


def _one_stage(body: Any, head: str, num_classes: int, sizes: Sequence[int], kwargs: dict[str, Any]) -> nn.Module:
    channels = body.out_channels
    if head == "fcos":
        anchors = AnchorGenerator(tuple((size,) for size in sizes), ((1.0,),) * len(sizes))
        return FCOS(body, num_classes, anchor_generator=anchors, head=FCOSHead(channels, 1, num_classes), **kwargs)
    anchors = AnchorGenerator(
        tuple((size, int(size * 2 ** (1 / 3)), int(size * 2 ** (2 / 3))) for size in sizes), (_RATIOS,) * len(sizes)
    )
    norm = partial(nn.GroupNorm, 32) if head == "retinanet_v2" else None
    heads: Any = RetinaNetHead(channels, anchors.num_anchors_per_location()[0], num_classes, norm_layer=norm)
    if head == "retinanet_v2":
        heads.regression_head._loss_type = "giou"
    return RetinaNet(body, num_classes, anchor_generator=anchors, head=heads, **kwargs)


def _two_stage(
    body: Any,
    head: str,
    num_classes: int,
    sizes: Sequence[int],
    strides: Sequence[int],
    common: dict[str, Any],
    given: dict[str, Any],
) -> nn.Module:
    channels, cascade = body.out_channels, head == "cascade_mask_rcnn"
    hidden, mask_channels = given.pop("representation_size", 1024), given.pop("mask_channels", 256)
    parts: dict[str, Any] = {
        "rpn_anchor_generator": AnchorGenerator(tuple((size,) for size in sizes), (_RATIOS,) * len(sizes)),
        "box_roi_pool": RoIAlign(strides, 7, aligned=cascade),
        "box_head": nn.Identity() if cascade else TwoMLPHead(channels * 7**2, hidden),
        "box_predictor": nn.Identity() if cascade else FastRCNNPredictor(hidden, num_classes),
    }
    if head in WITH_MASKS:
        parts |= {
            "mask_roi_pool": RoIAlign(strides, 14, aligned=cascade),
            "mask_head": nn.Identity() if cascade else MaskRCNNHeads(channels, [mask_channels] * 4, 1),
            "mask_predictor": nn.Identity()
            if cascade
            else MaskRCNNPredictor(mask_channels, mask_channels, num_classes),
        }
    model: Any = _MODELS[head](body, **parts, **common, **given)
    sampler = model.rpn.fg_bg_sampler
    model.rpn.fg_bg_sampler = PositionSampler(
        sampler.batch_size_per_image,
        sampler.positive_fraction,
        per_position=("loss_objectness", "loss_rpn_box_reg"),
    )
    heads = model.roi_heads
    sampler = heads.fg_bg_sampler
    if cascade:
        model.roi_heads = CascadeRoIHeads(
            num_classes,
            channels,
            heads.box_roi_pool,
            heads.mask_roi_pool,
            representation_size=hidden,
            mask_channels=mask_channels,
            batch_size_per_image=sampler.batch_size_per_image,
            positive_fraction=sampler.positive_fraction,
            score_thresh=heads.score_thresh,
            nms_thresh=heads.nms_thresh,
            detections_per_img=heads.detections_per_img,
        )
    else:
        heads.fg_bg_sampler = PositionSampler(
            sampler.batch_size_per_image,
            sampler.positive_fraction,
            per_position=("loss_classifier", "loss_box_reg"),
            per_positive=("loss_mask",) if head in WITH_MASKS else (),
            stream=1,
        )
    return model


def _wide(module: nn.Module, args: Any, output: Any) -> Any:
    """Boxes are decoded in the dtype of predictions; half precision would round an edge at 800 pixels by up to 2."""
    return tree_map_only(Tensor, lambda x: x.float() if x.dtype in (torch.bfloat16, torch.float16) else x, output)


def _check_names(head: str, given: dict[str, Any]) -> None:
    """torchvision's detectors swallow arguments that they do not know."""
    parameters = inspect.signature(_MODELS[head]).parameters.values()
    known = {"anchor_sizes", "size_divisible"} | {p.name for p in parameters if isinstance(p.default, int | float)}
    known -= {"min_size", "max_size"}  # set by the sizes of images
    if head not in _EXTRA:
        known.add("representation_size")
    if head in WITH_MASKS:
        known.add("mask_channels")
    if head == "cascade_mask_rcnn":
        known -= {"box_fg_iou_thresh", "box_bg_iou_thresh"}  # every stage has its own
    if unknown := given.keys() - known:
        raise UserError(
            f"model.head_kwargs: {head} has no {', '.join(sorted(unknown))}; it takes {', '.join(sorted(known))}"
        )
