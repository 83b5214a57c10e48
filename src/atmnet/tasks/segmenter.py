"""Semantic FPN and UperNet on any backbone.

Shapes: B images of H x W pixels, K classes; heads answer at h x w, the size of the finest map.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from atmnet.heads import SemanticFPNHead
from atmnet.tasks.pyramid import Pyramid, pyramid
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.options import ModelOptions


class Segmenter(nn.Module):
    """A pyramid with a head for the label map, and maybe a second one to train the backbone better.

    Attributes:
        backbone: Maps of the images.
        head: List of these maps -> logits.
        auxiliary: The second head, or None.
        aux_weight: Weight of the second head's loss.

    Shape:
        Images (B, 3, H, W), normalised, of any size -> in training the list of the heads' logits (B, K, h, w), each of
        its own size; in evaluation logits (B, K, H, W).
    """

    def __init__(
        self, backbone: Pyramid, head: nn.Module, auxiliary: nn.Module | None = None, aux_weight: float = 0.4
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.auxiliary = auxiliary
        self.aux_weight = aux_weight
        self._batch_norm = any(isinstance(module, nn.BatchNorm2d) for module in head.modules())

    def forward(self, images: Tensor) -> list[Tensor] | Tensor:
        if self.training and self._batch_norm and len(images) < 2:
            raise UserError(
                "batch_size: BatchNorm of the head needs at least 2 images at once in each process; got 1: take more,"
                ' or model.head_kwargs {"norm": "group"}'
            )
        maps = list(self.backbone(images).values())
        logits = self.head(maps)
        if not self.training:
            return F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)
        return [logits] if self.auxiliary is None else [logits, self.auxiliary(maps)]


def build_segmenter(options: ModelOptions, num_classes: int) -> Segmenter:
    """A segmenter with initialised weights.

    Args:
        options: Backbone, neck and head. Arguments ``head_kwargs`` of 'semantic_fpn': ``channels`` (128) and
            ``dropout`` (0.1); those of 'upernet', whose channels are ``options.channels``: see
            :func:`upernet_heads`.
        num_classes: Classes K.

    Raises:
        UserError: For a backbone without feature maps, an unknown head, or arguments that something does not take.
    """
    if options.head not in ("semantic_fpn", "upernet"):
        raise UserError(f"model.head: got {options.head!r}, expected 'semantic_fpn' or 'upernet'")
    upernet = options.head == "upernet"
    backbone = pyramid(options, extra=None, with_neck=not upernet)
    try:
        if not upernet:
            levels = len(backbone.strides)
            return Segmenter(
                backbone, SemanticFPNHead(backbone.out_channels, levels, num_classes, **options.head_kwargs)
            )
        kwargs = {"channels": options.channels, **options.head_kwargs}
        return Segmenter(backbone, *upernet_heads(backbone.in_channels, num_classes, **kwargs))
    except (TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"model.head_kwargs: {options.head}: {first_line(error)}") from error


def upernet_heads(
    in_channels: list[int],
    num_classes: int,
    *,
    channels: int = 512,
    pool_scales: tuple[int, ...] = (1, 2, 3, 6),
    aux_channels: int = 256,
    aux_weight: float = 0.4,
    dropout: float = 0.1,
    norm: str = "batch",
) -> tuple[nn.Module, nn.Module | None, float]:
    """transformers' UperNet and FCN heads, with the dropout before the classifiers that they lack.

    Args:
        in_channels: Channels of the backbone's maps, finest first.
        num_classes: Classes K.
        channels: Channels inside.
        pool_scales: Sides of the grids that the coarsest map is pooled to.
        aux_channels: Channels of the FCN head, which sees the last map but one.
        aux_weight: Weight of its loss; 0 for no such head.
        dropout: Rate at which whole channels are dropped before a classifier.
        norm: 'batch' or 'group': BatchNorm, as published, which wants batches of at least 2 images in each process; or
            GroupNorm of 32 groups, which goes with any, and gives the same whichever way a batch is cut.

    Returns:
        The head, the FCN head or None, and ``aux_weight``.

    Raises:
        UserError: Without transformers, or for an unknown norm.
        ValueError: For channels that GroupNorm cannot group.
    """
    try:
        from transformers import UperNetConfig
        from transformers.models.upernet.modeling_upernet import UperNetFCNHead, UperNetHead
    except ImportError as error:
        raise UserError("model.head: 'upernet' needs transformers: pip install 'atmnet[dense]'") from error
    if norm not in ("batch", "group"):
        raise UserError(f"model.head_kwargs: norm: got {norm!r}, expected 'batch' or 'group'")
    config = UperNetConfig(hidden_size=channels, pool_scales=tuple(pool_scales), auxiliary_channels=aux_channels)
    config.num_labels = num_classes
    head = UperNetHead(config, in_channels)
    auxiliary = UperNetFCNHead(config, in_channels, in_index=max(len(in_channels) - 2, 0)) if aux_weight else None
    for part in (head, auxiliary):
        if part is not None:
            _finish(part, dropout, norm)
    return head, auxiliary, aux_weight


def _finish(head: Any, dropout: float, norm: str) -> None:
    nn.init.normal_(head.classifier.weight, std=0.01)
    nn.init.zeros_(head.classifier.bias)
    head.classifier = nn.Sequential(nn.Dropout2d(dropout), head.classifier)
    if norm == "group":
        for module in head.modules():
            if isinstance(getattr(module, "batch_norm", None), nn.BatchNorm2d):
                module.batch_norm = nn.GroupNorm(32, module.batch_norm.num_features)
