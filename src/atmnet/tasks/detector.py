"""torchvision's detectors, and Cascade Mask R-CNN, on any pyramid.

Inputs: in training, a list of images (3, H, W) in 0..1, already resized, and a list of targets (boxes, labels, masks)
in torchvision's format; in evaluation, only images, of any size. Outputs: in training, a dict of losses; in evaluation,
for each image boxes, labels, scores, and masks (N, 1, H, W) if the detector predicts masks.

Losses by head:
    retinanet, retinanet_v2: ``classification`` and ``bbox_regression`` are means over images
    fcos: ``classification``, ``bbox_regression`` and ``bbox_ctrness`` are means over all foreground positions
    faster_rcnn, mask_rcnn: ``loss_objectness`` and ``loss_rpn_box_reg`` are means over the sampled anchors,
        ``loss_classifier`` and ``loss_box_reg`` over the sampled proposals, ``loss_mask`` over the positive ones
    cascade_mask_rcnn: the same; the last three names end in ``_1``, ``_2`` or ``_3`` for the stage
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.rpn import RPNHead

from atmnet.heads import FCOSHead, PositionSampler, SampleCounter
from atmnet.tasks.detector_transform import resize_any_shape
from atmnet.tasks.heads import Head, find_head
from atmnet.tasks.pyramid import pyramid
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.options import DenseOptions, ModelOptions


def build_detector(options: ModelOptions, dense: DenseOptions, num_classes: int) -> nn.Module:
    """Build a detector with initial weights.

    Args:
        options: Backbone, neck, and head with its arguments; see :func:`assemble_detector`.
        dense: Image sizes.
        num_classes: Classes, without background.

    Raises:
        UserError: If the backbone has no feature maps, or backbone, neck or head do not take an argument.
    """
    head = find_head(options.head, "detection")
    body = pyramid(options, extra=head.extra_levels, first_stride=head.first_stride)
    return assemble_detector(
        body,
        options.head,
        num_classes,
        strides=body.strides,
        img_size=dense.img_sizes[-1],
        max_img_size=dense.max_img_size,
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
    img_size: int = 800,
    max_img_size: int = 1333,
    mean: Sequence[float] = (0.485, 0.456, 0.406),
    std: Sequence[float] = (0.229, 0.224, 0.225),
    head_kwargs: dict[str, Any] | None = None,
) -> nn.Module:
    """Build a detector on a pyramid, as torchvision assembles its own.

    Args:
        body: Images (B, 3, H, W) -> OrderedDict of maps, those of the backbone named '0', '1', .... Its
            attribute ``out_channels`` is their number of channels. One-stage heads expect two more maps after the
            backbone's, other heads one more, each of twice the stride of the one before.
        head: Name of a detection head in :data:`atmnet.tasks.heads.HEADS`.
        num_classes: Classes, without background.
        strides: Strides of the backbone's maps.
        img_size: Shorter side that images are resized to in evaluation; in training they keep their size.
        max_img_size: Upper limit of the longer side.
        mean, std: Mean and standard deviation of each channel, as the backbone expects.
        head_kwargs: Numeric arguments of torchvision's detector, and

            - ``anchor_sizes``: base size of the anchors of each level in pixels. Default: torchvision's, a multiple of
              the stride: 4 for RetinaNets, 1 for FCOS, 8 for the others;
            - ``representation_size`` (two-stage heads): hidden units of the box head, default 1024;
            - ``mask_channels`` (heads with masks): channels of the mask head, default 256.

    Raises:
        UserError: If head or argument is unknown, or a value does not fit.
    """
    facts = find_head(head, "detection")
    assert facts.build is not None
    kwargs = dict(head_kwargs or {})
    _check_arguments(head, facts, kwargs)
    all_strides = [*strides, *(strides[-1] * 2**k for k in range(1, 3 if facts.stages == 1 else 2))]
    sizes = kwargs.pop("anchor_sizes", None) or [facts.anchor_scale * stride for stride in all_strides]
    if len(sizes) != len(all_strides):
        raise UserError(
            f"model.head_kwargs: anchor_sizes: got {len(sizes)}, expected {len(all_strides)}, one for each of the "
            f"strides {all_strides}"
        )
    if facts.stages == 2:
        kwargs["strides"] = strides
    try:
        model: nn.Module = facts.build(
            body, num_classes, sizes, min_size=img_size, max_size=max_img_size, image_mean=list(mean),
            image_std=list(std), _skip_resize=True, **kwargs,
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise UserError(f"model.head_kwargs: {head}: {first_line(error)}") from error
    resize_any_shape(model)
    for module in model.modules():
        if isinstance(module, RetinaNetHead | FCOSHead | RPNHead | FastRCNNPredictor):
            module.register_forward_hook(_convert_to_float32)
    return model


def counters_of(model: nn.Module) -> list[SampleCounter]:
    """The modules of a detector that sample by the images' seeds, or count the items that its losses are means over."""
    parts = [part for module in model.modules() for part in (module, getattr(module, "fg_bg_sampler", None))]
    return [part for part in parts if isinstance(part, PositionSampler | FCOSHead)]


def _convert_to_float32(module: nn.Module, args: Any, output: Any) -> Any:
    """Boxes are decoded in the predictions' dtype; half precision would round an edge at 800 pixels by up to 2."""
    return tree_map_only(Tensor, lambda x: x.float() if x.dtype in (torch.bfloat16, torch.float16) else x, output)


def _check_arguments(name: str, head: Head, kwargs: dict[str, Any]) -> None:
    """Refuse unknown arguments, which torchvision's detectors would accept and ignore."""
    assert head.signature is not None
    parameters = inspect.signature(head.signature).parameters.values()
    known = {"anchor_sizes", "size_divisible", *head.arguments}
    known |= {p.name for p in parameters if isinstance(p.default, int | float)}
    known -= {"min_size", "max_size"}  # set by the options of image sizes
    if unknown := kwargs.keys() - known:
        raise UserError(
            f"model.head_kwargs: {name} has no {', '.join(sorted(unknown))}; it takes {', '.join(sorted(known))}"
        )
    for key in kwargs.keys() - {"anchor_sizes"}:
        if not isinstance(kwargs[key], int | float) or not 0 <= kwargs[key] < float("inf"):
            raise UserError(f"model.head_kwargs: {name}: {key}: got {kwargs[key]!r:.80}, expected 0 or more")
