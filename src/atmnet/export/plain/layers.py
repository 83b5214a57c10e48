"""The layers in plain operations that other runtimes run fast, with the channels of a share group apart.

Shapes: B images, L* token axes, C channels, S channels per share group, G = C / S, A token axes, K = A + 1 branches.
Channels are interleaved: channel g * S + s of the network is channel s * G + g here. One index for G groups then serves
all S members over an *outer* axis, which every runtime repeats in whole rows.
"""

import functools
from typing import NamedTuple

import torch
from torch import Tensor, nn

from atmnet.layers import ATM, OffsetPredictor


class Taps(NamedTuple):
    """The two tokens around each position along one axis, and their weights: (B, L*, 1, G)."""

    left: Tensor
    right: Tensor
    left_weight: Tensor
    right_weight: Tensor


class PredictTaps(nn.Module):
    """Offsets as taps, computed once for all blocks that share them.

    Shape:
        Tokens (B, L*, C) -> the four tensors of the taps of each axis, the last axis first.
    """

    norm: nn.Module
    proj: nn.Linear
    dilation: int

    def __init__(self, predictor: "OffsetPredictor | PredictTaps", axes: int) -> None:
        super().__init__()
        self.norm, self.proj, self.axes, self.dilation = predictor.norm, predictor.proj, axes, predictor.dilation

    def forward(self, x: Tensor) -> list[Tensor]:
        rows = x.flatten(1, -2).to(self.proj.weight.dtype)
        offset = self.proj(self.norm(rows)).view(*x.shape[:-1], 1, -1)
        if self.dilation != 1:
            offset = offset * self.dilation
        parts = offset.chunk(self.axes, -1)
        # Blocks pass this flat list on in place of offsets.
        return [tensor for k, part in enumerate(parts) for tensor in taps(part, self.axes - k, x.dtype)]


def taps(offset: Tensor, dim: int, dtype: torch.dtype) -> Taps:
    """Taps along axis ``dim`` (1 .. A) at offsets (B, L*, 1, G), with weights of ``dtype``.

    Tokens outside count as zero: at the border both taps are the same token, and the right one has weight zero. This
    needs no comparison, and works for a single token. All positions below -1 or above L read zero.
    """
    length = offset.shape[dim]
    here = torch.arange(length, dtype=offset.dtype).view([-1] + [1] * (offset.dim() - dim - 1))
    position = (here + offset).clamp(min=-1).minimum(here[-1:] + 1)
    floor = position.floor()
    left, right = floor.clamp(min=0).minimum(here[-1:]), (floor + 1).minimum(here[-1:])
    beyond_left = position - left
    weights = 1 - beyond_left.abs(), beyond_left * (right - left)
    return Taps(left.long(), right.long(), weights[0].to(dtype), weights[1].to(dtype))


class PlainATM(nn.Module):
    """:class:`atmnet.layers.ATM` at given taps, with the fusion weights of a branch side by side.

    It takes tokens (B, L*, C), or all of them in one row, (B, N, C).
    """

    along: nn.ModuleList
    identity: nn.Module
    fusion: nn.Module
    proj: nn.Module
    axes: int

    def __init__(self, atm: "ATM | PlainATM", groups: int) -> None:
        super().__init__()
        self.along, self.identity, self.fusion, self.proj = atm.along, atm.identity, atm.fusion, atm.proj
        self.axes, self.groups = atm.axes, groups

    def forward(self, x: Tensor, offset: list[Tensor], mask: None = None) -> Tensor:
        rows = x.flatten(1, -2)
        # The batch is x.shape[0]: len(x) is an int, which would fix the size of an exported batch.
        grouped = x.view(x.shape[0], *self.lengths(offset), x.shape[-1] // self.groups, self.groups)
        branches = []
        for k, project in enumerate(self.along):
            branches.append(project(self.sampled(grouped, offset, k).reshape(rows.shape)))
        branches.append(self.identity(rows))
        total = _sum([branch.mean(1) for branch in branches])
        weights = self.fusion(total).unflatten(-1, (self.axes + 1, -1)).softmax(1)
        mixed = _sum([branch * a for branch, a in zip(branches, weights.chunk(self.axes + 1, 1), strict=True)])
        out = self.proj(mixed)
        return out if x.dim() == out.dim() else out.view(x.shape)

    def lengths(self, offset: list[Tensor]) -> torch.Size:
        """Tokens along each axis."""
        return offset[0].shape[1:-2]

    def sampled(self, x: Tensor, offset: list[Tensor], k: int) -> Tensor:
        """The values of x (B, L*, S, G) that branch ``k`` reads."""
        return sample(x, Taps(*offset[4 * k : 4 * k + 4]), self.axes - k)


def sample(x: Tensor, at: Taps, dim: int) -> Tensor:
    """x (B, L*, S, G) interpolated at taps along axis ``dim``."""
    left = x.gather(dim, at.left.expand(x.shape))
    right = x.gather(dim, at.right.expand(x.shape))
    return left * at.left_weight + right * at.right_weight


def _sum(parts: list[Tensor]) -> Tensor:
    return functools.reduce(torch.add, parts)  # the built-in sum would start with an addition to 0


class PlainGroup(nn.Module):
    """:class:`atmnet.layers.block.OffsetGroup`, (B, L*, C) -> (B, L*, C), with all tokens in one row for its blocks.

    OpenVINO takes the second of four axes for channels, and would reorder memory before each norm.
    """

    def __init__(self, offset: PredictTaps, blocks: nn.ModuleList) -> None:
        super().__init__()
        self.offset, self.blocks = offset, blocks

    def forward(self, x: Tensor, mask: None = None) -> Tensor:
        offset, rows = self.offset(x), x.flatten(1, -2)
        for block in self.blocks:
            rows = block(rows, offset)
        return rows.view(x.shape)


class PlainPositions(nn.Module):
    """:class:`atmnet.layers.PositionEncoding` that adds while channels come first, which saves two transpositions."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor, mask: None = None) -> Tensor:
        maps = x.movedim(-1, 1)
        return (maps + self.conv(maps)).movedim(1, -1)


class Restore(nn.Module):
    """Channels (.., S * G) back in the network's own order (.., G * S)."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        # With channels first, as the next layer wants them anyway, runtimes swap outer axes in whole maps.
        maps = x.movedim(-1, 1).unflatten(1, (-1, self.groups))
        return maps.transpose(1, 2).flatten(1, 2).movedim(1, -1)
