"""Build torchvision's one-stage detectors, RetinaNet and FCOS, on a pyramid.

Every builder takes a pyramid, the number of classes without background, the base size of the anchors of each level in
pixels, and the arguments of torchvision's class.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetHead

from atmnet.heads import FCOSHead

#: Height over width of the anchors.
ASPECT_RATIOS = (0.5, 1.0, 2.0)


def retinanet(body: Any, num_classes: int, anchor_sizes: Sequence[float], **kwargs: Any) -> nn.Module:
    """RetinaNet (arXiv 1708.02002)."""
    return _retinanet(body, num_classes, anchor_sizes, None, kwargs)


def retinanet_v2(body: Any, num_classes: int, anchor_sizes: Sequence[float], **kwargs: Any) -> nn.Module:
    """RetinaNet as in torchvision's second version: GroupNorm in the head, and the GIoU loss for boxes."""
    model: Any = _retinanet(body, num_classes, anchor_sizes, partial(nn.GroupNorm, 32), kwargs)
    model.head.regression_head._loss_type = "giou"
    return model


def _retinanet(body: Any, num_classes: int, anchor_sizes: Sequence[float], norm: Any, kwargs: dict[str, Any]) -> Any:
    anchors = AnchorGenerator(
        tuple((size, int(size * 2 ** (1 / 3)), int(size * 2 ** (2 / 3))) for size in anchor_sizes),
        (ASPECT_RATIOS,) * len(anchor_sizes),
    )
    head = RetinaNetHead(body.out_channels, anchors.num_anchors_per_location()[0], num_classes, norm_layer=norm)
    return RetinaNet(body, num_classes, anchor_generator=anchors, head=head, **kwargs)


def fcos(body: Any, num_classes: int, anchor_sizes: Sequence[float], **kwargs: Any) -> nn.Module:
    """FCOS (arXiv 1904.01355), whose head counts the positions that its losses are means over."""
    anchors = AnchorGenerator(tuple((size,) for size in anchor_sizes), ((1.0,),) * len(anchor_sizes))
    head = FCOSHead(body.out_channels, 1, num_classes)
    return FCOS(body, num_classes, anchor_generator=anchors, head=head, **kwargs)
