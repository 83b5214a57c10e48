"""The feature pyramid of detectors and segmenters: a timm backbone with a neck.

Shapes: B images of H x W pixels, C channels of the neck, strides s of the levels.
"""

from collections import OrderedDict
from typing import Any, Literal, get_args

import timm
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool, LastLevelP6P7

from atmnet.models import ATMNet
from atmnet.models._checkpoint import convert
from atmnet.models.create import create_model, data_config, enable_grad_checkpointing
from atmnet.necks import ATMFPN
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.options import ModelOptions

Neck = Literal["fpn", "atmfpn", "atmfpn_aligned"]
#: Levels that the neck adds: one by subsampling, or two by convolutions from the neck's or the backbone's last map.
ExtraLevels = Literal["pool", "p6p7", "p6p7_from_c5"]
#: What the names of the backbone's weights begin with in a detector or segmenter.
BODY = "backbone.body."


class Pyramid(nn.Module):
    """The feature maps of a timm model, one for each stride, with a neck that gives all the same number of channels.

    Args:
        name: Any timm model with feature maps.
        neck: Feature pyramid network on the maps; None leaves the maps unchanged.
        channels: Channels C of the neck.
        extra: Levels that the neck adds to the backbone's.
        first_stride: Stride of the finest map to use.
        drop_path: Stochastic depth rate of the last block.
        grad_checkpointing: Recompute blocks in the backward pass.
        in_chans: Channels of images.
        kwargs: Further arguments of the model.

    Attributes:
        name: The model's name.
        body: The timm model without its classifier and all other layers that no map needs. An ATMNet has a LayerNorm
            for each map.
        neck: The neck, or None.
        config: timm's data configuration (mean, std, ...).
        pruned: Names of the parameters that were removed from ``body``.
        strides: Stride of each of the backbone's maps, finest first.
        in_channels: Channels of each of these maps.
        out_channels: Channels of every level; without a neck, of the last map.

    Shape:
        Images (B, in_chans, H, W) -> OrderedDict of maps (B, C, H / s, W / s), finest first; those of the backbone
        are named '0', '1', ...

    Raises:
        UserError: If the model has no feature maps, or does not take an argument.
    """

    def __init__(
        self,
        name: str,
        *,
        neck: Neck | None = "fpn",
        channels: int = 256,
        extra: ExtraLevels | None = None,
        first_stride: int = 4,
        drop_path: float = 0.0,
        grad_checkpointing: bool = False,
        in_chans: int = 3,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        kwargs = {"in_chans": in_chans, **(kwargs or {})}
        if drop_path:
            kwargs["drop_path_rate"] = drop_path
        is_atmnet = timm.model_entrypoint(name).__module__.startswith("atmnet.")
        body = create_model(name, **kwargs, **({"stage_norms": True} if is_atmnet else {}))
        infos = getattr(body, "feature_info", None)
        if not infos or not hasattr(body, "forward_intermediates"):
            raise UserError(
                f"model.name: {name} has no feature maps; expected a model that supports timm's features_only"
            )
        deepest = {
            info["reduction"]: i for i, info in enumerate(infos)
        }  # the last of several maps with the same stride
        indices = sorted(i for stride, i in deepest.items() if stride >= first_stride)
        if not indices:
            raise UserError(f"model.name: {name} has no feature map of stride {first_stride} or more")
        self.name = name
        self.config = data_config(body)
        self.strides = [int(infos[i]["reduction"]) for i in indices]
        self.in_channels = [int(infos[i]["num_chs"]) for i in indices]

        unpruned = set(body.state_dict())
        self._indices = body.prune_intermediate_layers(indices, prune_norm=not is_atmnet, prune_head=True)
        self._norm = is_atmnet
        self.pruned = frozenset(unpruned - set(body.state_dict()))
        if grad_checkpointing:
            enable_grad_checkpointing(body, name)
        self.body = body
        self.neck = _neck(neck, self.in_channels, channels, extra) if neck is not None else None
        self.out_channels = channels if neck is not None else self.in_channels[-1]

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        maps = self.body.forward_intermediates(
            images, indices=self._indices, norm=self._norm, stop_early=True, intermediates_only=True
        )
        named = OrderedDict((str(i), level) for i, level in enumerate(maps))
        return named if self.neck is None else self.neck(named)


def pyramid(
    options: ModelOptions, *, extra: ExtraLevels | None, first_stride: int = 4, with_neck: bool = True
) -> Pyramid:
    """Build the backbone of ``options``, with its neck unless ``with_neck`` is false."""
    return Pyramid(
        options.name,
        neck=options.neck if with_neck else None,
        channels=options.channels,
        extra=extra,
        first_stride=first_stride,
        drop_path=options.drop_path,
        grad_checkpointing=options.grad_checkpointing,
        kwargs=options.kwargs,
    )


def load_body(model: Any, weights: dict[str, Tensor], path: str) -> None:
    """Load the weights of a classifier, or of another detector or segmenter, into the backbone of ``model``.

    The classifier and final norm in ``weights`` are ignored. Norms of the maps that ``weights`` lack keep their values.
    BatchNorm in the backbone is frozen.

    Args:
        model: A detector of :func:`atmnet.tasks.detector.build_detector`, or a segmenter of
            :func:`atmnet.tasks.segmenter.build_segmenter`.
        weights: State dict with the names of the timm model, of the authors' files, or of a detector or segmenter.
        path: File of the weights, for the error message.

    Raises:
        UserError: If they are not weights of this backbone.
    """
    backbone, body = model.backbone, model.backbone.body
    if any(key.startswith(BODY) for key in weights):
        weights = {key.removeprefix(BODY): value for key, value in weights.items() if key.startswith(BODY)}
    try:
        if isinstance(body, ATMNet):
            weights = convert(weights, body)
        expected = body.state_dict()
        unexpected = [key for key in weights if key not in expected and key not in backbone.pruned]
        missing = [key for key in expected if key not in weights and not _is_optional(key)]
        for keys, what in ((unexpected, "unexpected"), (missing, "missing")):
            if keys:
                raise ValueError(f"{len(keys)} {what} parameters, e.g. {keys[0]}")
        body.load_state_dict({key: value for key, value in weights.items() if key in expected}, strict=False)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{path}: not weights of {backbone.name}: {first_line(error)}") from error
    backbone.body = freeze_batch_norm_2d(body)


def _is_optional(key: str) -> bool:
    return key.startswith("stage_norms.") or key.endswith(".num_batches_tracked")


def _neck(kind: Neck, in_channels: list[int], channels: int, extra: ExtraLevels | None) -> nn.Module:
    block: ExtraFPNBlock | None = None
    if extra == "pool":
        block = LastLevelMaxPool()
    elif extra is not None:
        block = LastLevelP6P7(channels if extra == "p6p7" else in_channels[-1], channels)
    if kind == "fpn":
        return FeaturePyramidNetwork(in_channels, channels, block)
    try:
        return ATMFPN(in_channels, channels, block, align={"atmfpn": False, "atmfpn_aligned": True}[kind])
    except KeyError as error:
        raise UserError(f"model.neck: got {kind!r}, expected one of {', '.join(get_args(Neck))}") from error
    except ValueError as error:
        raise UserError(f"model.channels: {error}") from error
