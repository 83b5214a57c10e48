"""Build two-stage detectors on a pyramid: torchvision's Faster and Mask R-CNN, and Cascade Mask R-CNN.

Every builder takes a pyramid, the number of classes without background, the base size of the anchors of each level in
pixels, the strides of the backbone's maps, and further arguments of torchvision's class. All of them
sample anchors and proposals by :class:`~atmnet.heads.PositionSampler`, so that a resumed run draws the same ones.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from atmnet.heads import CascadeRoIHeads, PositionSampler, RoIAlign
from atmnet.tasks.one_stage import ASPECT_RATIOS

#: Side of RoIAlign's output for boxes and for masks, in cells.
_BOX_CELLS, _MASK_CELLS = 7, 14


def faster_rcnn(body: Any, num_classes: int, anchor_sizes: Sequence[float], **kwargs: Any) -> nn.Module:
    """Faster R-CNN (arXiv 1506.01497). ``kwargs``: ``strides``, ``representation_size`` (1024), torchvision's."""
    return _torchvision_rcnn(FasterRCNN, body, num_classes, anchor_sizes, **kwargs)


def mask_rcnn(
    body: Any, num_classes: int, anchor_sizes: Sequence[float], *, mask_channels: int = 256, **kwargs: Any
) -> nn.Module:
    """Mask R-CNN (arXiv 1703.06870), whose mask head has ``mask_channels``. ``kwargs`` as in :func:`faster_rcnn`."""
    return _torchvision_rcnn(MaskRCNN, body, num_classes, anchor_sizes, mask_channels=mask_channels, **kwargs)


def _torchvision_rcnn(
    build: Callable[..., nn.Module],
    body: Any,
    num_classes: int,
    anchor_sizes: Sequence[float],
    *,
    strides: Sequence[int],
    representation_size: int = 1024,
    mask_channels: int | None = None,
    **kwargs: Any,
) -> nn.Module:
    parts: dict[str, Any] = {
        "rpn_anchor_generator": _anchors(anchor_sizes),
        "box_roi_pool": RoIAlign(strides, _BOX_CELLS, aligned=False),
        "box_head": TwoMLPHead(body.out_channels * _BOX_CELLS**2, representation_size),
        "box_predictor": FastRCNNPredictor(representation_size, num_classes + 1),
    }
    if mask_channels is not None:
        parts |= {
            "mask_roi_pool": RoIAlign(strides, _MASK_CELLS, aligned=False),
            "mask_head": MaskRCNNHeads(body.out_channels, [mask_channels] * 4, 1),
            "mask_predictor": MaskRCNNPredictor(mask_channels, mask_channels, num_classes + 1),
        }
    return _with_position_samplers(build(body, **parts, **kwargs))


def cascade_mask_rcnn(
    body: Any,
    num_classes: int,
    anchor_sizes: Sequence[float],
    *,
    strides: Sequence[int],
    representation_size: int = 1024,
    mask_channels: int = 256,
    rpn_pre_nms_top_n_train: int = 2000,
    rpn_pre_nms_top_n_test: int = 1000,
    rpn_post_nms_top_n_train: int = 2000,
    rpn_post_nms_top_n_test: int = 1000,
    rpn_nms_thresh: float = 0.7,
    rpn_fg_iou_thresh: float = 0.7,
    rpn_bg_iou_thresh: float = 0.3,
    rpn_batch_size_per_image: int = 256,
    rpn_positive_fraction: float = 0.5,
    rpn_score_thresh: float = 0.0,
    box_score_thresh: float = 0.05,
    box_nms_thresh: float = 0.5,
    box_detections_per_img: int = 100,
    box_batch_size_per_image: int = 512,
    box_positive_fraction: float = 0.25,
    min_size: int = 800,
    max_size: int = 1333,
    image_mean: Sequence[float] = (0.485, 0.456, 0.406),
    image_std: Sequence[float] = (0.229, 0.224, 0.225),
    **kwargs: Any,
) -> nn.Module:
    """Cascade Mask R-CNN (arXiv 1906.09756): torchvision's proposals and three stages of our own heads.

    Arguments have the names and defaults of torchvision's ``MaskRCNN``. The IoU thresholds of boxes are missing, since
    each stage has its own.
    """
    anchors = _anchors(anchor_sizes)
    rpn = RegionProposalNetwork(
        anchors,
        RPNHead(body.out_channels, anchors.num_anchors_per_location()[0]),
        rpn_fg_iou_thresh,
        rpn_bg_iou_thresh,
        rpn_batch_size_per_image,
        rpn_positive_fraction,
        {"training": rpn_pre_nms_top_n_train, "testing": rpn_pre_nms_top_n_test},
        {"training": rpn_post_nms_top_n_train, "testing": rpn_post_nms_top_n_test},
        rpn_nms_thresh,
        score_thresh=rpn_score_thresh,
    )
    roi_heads = CascadeRoIHeads(
        num_classes + 1,
        body.out_channels,
        RoIAlign(strides, _BOX_CELLS, aligned=True),
        RoIAlign(strides, _MASK_CELLS, aligned=True),
        representation_size=representation_size,
        mask_channels=mask_channels,
        batch_size_per_image=box_batch_size_per_image,
        positive_fraction=box_positive_fraction,
        score_thresh=box_score_thresh,
        nms_thresh=box_nms_thresh,
        detections_per_img=box_detections_per_img,
    )
    transform = GeneralizedRCNNTransform(min_size, max_size, list(image_mean), list(image_std), **kwargs)
    model = GeneralizedRCNN(body, rpn, roi_heads, transform)
    _set_rpn_sampler(model)
    return model


def _anchors(sizes: Sequence[float]) -> AnchorGenerator:
    return AnchorGenerator(tuple((size,) for size in sizes), (ASPECT_RATIOS,) * len(sizes))


def _with_position_samplers(model: Any) -> nn.Module:
    _set_rpn_sampler(model)
    heads = model.roi_heads
    heads.fg_bg_sampler = PositionSampler(
        heads.fg_bg_sampler.batch_size_per_image,
        heads.fg_bg_sampler.positive_fraction,
        per_position=("loss_classifier", "loss_box_reg"),
        per_positive=("loss_mask",) if heads.has_mask() else (),
        stream=1,
    )
    return model


def _set_rpn_sampler(model: Any) -> None:
    sampler = model.rpn.fg_bg_sampler
    model.rpn.fg_bg_sampler = PositionSampler(
        sampler.batch_size_per_image,
        sampler.positive_fraction,
        per_position=("loss_objectness", "loss_rpn_box_reg"),
    )
