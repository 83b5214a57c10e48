"""ATMFPN: a feature pyramid network that mixes tokens by ATM.

Shapes: B images, H x W tokens of a level, C channels, S channels per share group, G = C / S. Input and output maps are
channels first, tokens channels last.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Optional

import torch
import torch.nn.functional as F
from timm.layers import trunc_normal_
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

from atmnet.layers import ATM, OffsetPredictor
from atmnet.ops import sample_along


class ATMFPN(nn.Module):
    """Feature pyramid network with ATM, a replacement for ``torchvision.ops.FeaturePyramidNetwork``.

    The paper describes an enhanced pyramid that applies ATM inside the FPN, but its code was not released. Details that
    the paper does not give are our design: what ATM replaces, the norm before it and the residual around it, the
    alignment, and the initialisation. The lateral 1x1 convolutions and the top-down sum are the usual ones. Two things
    differ from an FPN:

    - ATM replaces the 3x3 convolution that smooths each level: ``x + ATM(norm(x), offsets(x))``, as in a block of the
      backbone;
    - with ``align``, the upsampled coarser level is sampled along the width, then along the height, before it is added.
      The offsets are predicted from both levels together.

    The outputs of ATM start small and the offsets of the alignment at zero, so that a new module is close to an FPN
    without smoothing. With 256 channels it has fewer parameters and multiply-accumulates than the usual FPN.

    Args:
        in_channels_list: Channels of each map, finest first.
        out_channels: Channels C of every level.
        extra_blocks: Module that adds coarser levels, e.g. torchvision's ``LastLevelMaxPool`` or ``LastLevelP6P7``.
            Default: none.
        norm_layer: Normalisation after the lateral convolutions; default none.
        align: Whether to sample the coarser level at predicted offsets instead of only upsampling it.
        share: Number of consecutive channels S that share an offset; must divide C. The default gives 64 offsets for
            each axis at 256 channels, as many as the backbone's coarsest stage has.

    Shape:
        Dict of maps (B, C_i, H_i, W_i), finest first, of any sizes -> dict of maps (B, C, H_i, W_i) of the same names,
        followed by those of ``extra_blocks``.

    Raises:
        ValueError: If ``in_channels_list`` is empty or ``share`` does not divide ``out_channels``.
        TypeError: If ``extra_blocks`` is not an ``ExtraFPNBlock``.

    Examples:
        >>> from atmnet.necks import ATMFPN
        >>> neck = ATMFPN([64, 128], 256)
        >>> maps = {"0": torch.randn(1, 64, 25, 33), "1": torch.randn(1, 128, 13, 17)}
        >>> {name: tuple(level.shape) for name, level in neck(maps).items()}
        {'0': (1, 256, 25, 33), '1': (1, 256, 13, 17)}
    """

    def __init__(
        self,
        in_channels_list: list[int],
        out_channels: int,
        extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
        *,
        align: bool = False,
        share: int = 4,
    ) -> None:
        super().__init__()
        if not in_channels_list or min(in_channels_list) < 1:
            raise ValueError(f"in_channels_list: got {in_channels_list}, expected the channels of at least one map")
        if extra_blocks is not None and not isinstance(extra_blocks, ExtraFPNBlock):
            raise TypeError(f"extra_blocks: got {type(extra_blocks).__name__}, expected a torchvision ExtraFPNBlock")
        self.inner_blocks = nn.ModuleList(
            [
                Conv2dNormActivation(
                    channels, out_channels, kernel_size=1, padding=0, norm_layer=norm_layer, activation_layer=None
                )
                for channels in in_channels_list
            ]
        )
        #: Coarsest first, because TorchScript cannot iterate over modules in reverse order.
        self.top_down = nn.ModuleList(
            [Align(out_channels, share) if align else Upsample() for _ in in_channels_list[1:]]
        )
        self.layer_blocks = nn.ModuleList([ResidualATM(out_channels, share) for _ in in_channels_list])
        self.extra_blocks = extra_blocks
        for block in self.inner_blocks.modules():
            if isinstance(block, nn.Conv2d):
                nn.init.kaiming_uniform_(block.weight, a=1)  # as in torchvision
                if block.bias is not None:
                    nn.init.zeros_(block.bias)

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        names, maps = list(x.keys()), list(x.values())
        laterals: list[Tensor] = []
        for i, lateral in enumerate(self.inner_blocks):
            laterals.append(lateral(maps[i]).permute(0, 2, 3, 1))

        last = len(laterals) - 1
        for i, descend in enumerate(self.top_down):
            laterals[last - 1 - i] = descend(laterals[last - 1 - i], laterals[last - i])

        results: list[Tensor] = []
        for i, mix in enumerate(self.layer_blocks):
            results.append(mix(laterals[i]).permute(0, 3, 1, 2))
        if self.extra_blocks is not None:
            results, names = self.extra_blocks(results, maps, names)
        return OrderedDict(list(zip(names, results)))  # noqa: B905 - TorchScript's zip has no strict


class ResidualATM(nn.Module):
    """LayerNorm and ATM with a residual connection around them: (B, H, W, C) -> (B, H, W, C)."""

    def __init__(self, dim: int, share: int) -> None:
        super().__init__()
        self.offset = OffsetPredictor(dim, share)
        self.norm = nn.LayerNorm(dim)
        self.atm = ATM(dim)
        for module in self.modules():
            if isinstance(module, nn.Linear):  # as in the backbone: the residual branch starts small
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.atm(self.norm(x), self.offset(x))


class Upsample(nn.Module):
    """Adds the upsampled coarse tokens to the fine ones: (B, H, W, C), (B, H', W', C) -> (B, H, W, C)."""

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return fine + upsample_like(coarse, fine)


class Align(nn.Module):
    """Adds the upsampled coarse tokens, sampled at predicted offsets, to the fine ones; shapes as in :class:`Upsample`.

    The offsets are predicted from both levels, in tokens of the fine level. They are zero after initialisation.
    """

    def __init__(self, dim: int, share: int) -> None:
        super().__init__()
        self.offset = OffsetPredictor(2 * dim, 2 * share)
        nn.init.zeros_(self.offset.proj.weight)
        nn.init.zeros_(self.offset.proj.bias)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        coarse = upsample_like(coarse, fine)
        along_width, along_height = self.offset(torch.cat([fine, coarse], -1)).chunk(2, -1)
        return fine + sample_along(sample_along(coarse, along_width, -2), along_height, -3)


def upsample_like(coarse: Tensor, fine: Tensor) -> Tensor:
    """``coarse`` (B, H', W', C) resized by nearest neighbours to the size of ``fine``, (B, H, W, C)."""
    size: Optional[list[int]] = [fine.size(1), fine.size(2)]
    return F.interpolate(coarse.permute(0, 3, 1, 2), size=size, mode="nearest").permute(0, 2, 3, 1)
