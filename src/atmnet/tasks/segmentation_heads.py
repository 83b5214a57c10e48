"""Build the heads of segmenters on a pyramid.

Every builder takes the pyramid, the number of classes K, and the arguments of ``model.head_kwargs``. It returns the
head, an auxiliary head or None, and the weight of the auxiliary head's loss.
"""

from typing import Any

from torch import nn

from atmnet.heads import SemanticFPNHead
from atmnet.tasks.pyramid import Pyramid
from atmnet_cli.errors import UserError, install

SegmentationHeads = tuple[nn.Module, nn.Module | None, float]
#: Default weight of the auxiliary head's loss.
AUX_WEIGHT = 0.4


def semantic_fpn(body: Pyramid, num_classes: int, **kwargs: Any) -> SegmentationHeads:
    """Semantic FPN (arXiv 1901.02446).

    Args:
        body: The pyramid.
        num_classes: Classes K.
        kwargs: ``channels`` (128) and ``dropout`` (0.1).
    """
    return SemanticFPNHead(body.out_channels, len(body.strides), num_classes, **kwargs), None, AUX_WEIGHT


def upernet(
    body: Pyramid,
    num_classes: int,
    *,
    channels: int = 512,
    pool_scales: tuple[int, ...] = (1, 2, 3, 6),
    aux_channels: int = 256,
    aux_weight: float = AUX_WEIGHT,
    dropout: float = 0.1,
    norm: str = "batch",
) -> SegmentationHeads:
    """UperNet (arXiv 1807.10221): transformers' UperNet and FCN heads, with dropout added before their classifiers.

    Args:
        body: The backbone.
        num_classes: Classes K.
        channels: Hidden channels.
        pool_scales: Sides of the grids that the coarsest map is pooled to.
        aux_channels: Channels of the auxiliary FCN head, which takes the second to last map.
        aux_weight: Weight of the auxiliary head's loss; 0 leaves this head out.
        dropout: Rate at which whole channels are dropped before a classifier.
        norm: 'batch' for BatchNorm, as published, which needs at least 2 images at once in each process; 'group' for
            GroupNorm of 32 groups, which takes any number and gives the same result however a batch is divided.

    Raises:
        UserError: If transformers is not installed, or the norm is unknown.
        ValueError: If GroupNorm cannot divide the channels into groups.
    """
    try:
        from transformers import UperNetConfig
        from transformers.models.upernet.modeling_upernet import UperNetFCNHead, UperNetHead
    except ImportError as error:
        raise UserError(f"model.head: 'upernet' needs transformers: {install('dense')}") from error
    if norm not in ("batch", "group"):
        raise UserError(f"model.head_kwargs: norm: got {norm!r}, expected 'batch' or 'group'")
    if not (1 <= len(pool_scales) <= 16 and all(isinstance(side, int) and 1 <= side <= 64 for side in pool_scales)):
        raise UserError(f"model.head_kwargs: pool_scales: got {pool_scales!r:.80}, expected integers from 1 to 64")
    config = UperNetConfig(hidden_size=channels, pool_scales=tuple(pool_scales), auxiliary_channels=aux_channels)
    config.num_labels = num_classes
    in_channels = body.in_channels
    head = UperNetHead(config, in_channels)
    auxiliary = UperNetFCNHead(config, in_channels, in_index=max(len(in_channels) - 2, 0)) if aux_weight else None
    for part in (head, auxiliary):
        if part is not None:
            _finish_head(part, dropout, norm)
    return head, auxiliary, aux_weight


def _finish_head(head: Any, dropout: float, norm: str) -> None:
    nn.init.normal_(head.classifier.weight, std=0.01)
    nn.init.zeros_(head.classifier.bias)
    head.classifier = nn.Sequential(nn.Dropout2d(dropout), head.classifier)
    if norm == "group":
        for module in head.modules():
            if isinstance(getattr(module, "batch_norm", None), nn.BatchNorm2d):
                module.batch_norm = nn.GroupNorm(32, module.batch_norm.num_features)
