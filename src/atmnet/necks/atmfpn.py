"""ATMFPN: a feature pyramid that mixes tokens by ATM.

Shapes: B images, H x W tokens of a level, C channels, S channels per share group, G = C / S. Maps are channels first at
the edges, tokens channels last inside.
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
    """Feature pyramid network with ATM in it; takes the place of ``torchvision.ops.FeaturePyramidNetwork``.

    The paper describes an enhanced pyramid that applies ATM inside the FPN, but no code of it was released, and where
    the paper is silent the design is ours: what ATM replaces, the norm before and the residual around it, the
    alignment, the initialisation. Lateral 1x1 convolutions and the sum from the coarsest level down are the usual ones.
    Two things change:

    - ATM takes the place of the 3x3 convolution that smooths each level: ``x + ATM(norm(x), offsets(x))``, as in a
      block of the backbone;
    - with ``align``, what comes down from the coarser level is not taken from underneath but from where it is
      useful: sampled along the width, then along the height, at offsets predicted from both levels together.

    ATM and alignment start small or at zero, so that at first this is an FPN that does not smooth. For 256 channels it
    has fewer parameters and multiply-accumulates than the usual FPN.

    Args:
        in_channels_list: Channels of each map, finest first.
        out_channels: Channels C of every level.
        extra_blocks: Coarser levels from these, e.g. torchvision's ``LastLevelMaxPool`` or ``LastLevelP6P7``.
        norm_layer: Normalisation after the lateral convolutions; default none.
        align: Look for what to take from the coarser level.
        share: Consecutive channels S that share an offset; divides C. The default gives 64 offsets for each axis at 256
            channels, as many as the backbone's coarsest stage has.

    Shape:
        Dict of maps (B, C_i, H_i, W_i), finest first, of any sizes -> dict of the same names and then those of
        ``extra_blocks``, with maps (B, C, H_i, W_i).

    Raises:
        ValueError: If there are no maps or ``share`` does not divide ``out_channels``.
        TypeError: If ``extra_blocks`` is no ``ExtraFPNBlock``.
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
            raise TypeError(
                f"extra_blocks: got {type(extra_blocks).__name__}, expected an ExtraFPNBlock of torchvision"
            )
        self.inner_blocks = nn.ModuleList(
            [
                Conv2dNormActivation(
                    channels, out_channels, kernel_size=1, padding=0, norm_layer=norm_layer, activation_layer=None
                )
                for channels in in_channels_list
            ]
        )
        #: Coarsest first: TorchScript does not iterate over modules backwards.
        self.top_down = nn.ModuleList(
            [Align(out_channels, share) if align else Upsample() for _ in in_channels_list[1:]]
        )
        self.layer_blocks = nn.ModuleList([Mix(out_channels, share) for _ in in_channels_list])
        self.extra_blocks = extra_blocks
        for block in self.inner_blocks.modules():
            if isinstance(block, nn.Conv2d):
                nn.init.kaiming_uniform_(block.weight, a=1)  # as torchvision's
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


class Mix(nn.Module):
    """ATM of normalised tokens with a residual around: (B, H, W, C) -> (B, H, W, C)."""

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
    """Adds to each fine token the coarse one underneath: (B, H, W, C), (B, H', W', C) -> (B, H, W, C)."""

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return fine + spread(coarse, fine)


class Align(nn.Module):
    """Adds to each fine token coarse ones from where both levels together say: shapes as :class:`Upsample`.

    The offsets are in tokens of the fine level, and zero at first.
    """

    def __init__(self, dim: int, share: int) -> None:
        super().__init__()
        self.offset = OffsetPredictor(2 * dim, 2 * share)
        nn.init.zeros_(self.offset.proj.weight)
        nn.init.zeros_(self.offset.proj.bias)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        coarse = spread(coarse, fine)
        along_width, along_height = self.offset(torch.cat([fine, coarse], -1)).chunk(2, -1)
        return fine + sample_along(sample_along(coarse, along_width, -2), along_height, -3)


def spread(coarse: Tensor, fine: Tensor) -> Tensor:
    """Nearest neighbours of ``coarse`` (B, H', W', C) for every token of ``fine`` (B, H, W, C)."""
    size: Optional[list[int]] = [fine.size(1), fine.size(2)]
    return F.interpolate(coarse.permute(0, 3, 1, 2), size=size, mode="nearest").permute(0, 2, 3, 1)
