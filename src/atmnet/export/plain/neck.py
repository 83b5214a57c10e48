"""ATMFPN and adaptive pooling in plain operations: see :mod:`atmnet.export.plain.layers`.

Shapes: B images, H x W tokens of a level, C channels, G share groups, P cells along an axis.
"""

from typing import Any

import torch
from torch import Tensor, nn

from atmnet.export.plain.layers import PlainATM, PredictTaps, Restore, Taps, sample
from atmnet.export.plain.reorder import interleaved, reorder, reorder_atm
from atmnet.necks import ATMFPN
from atmnet.necks.atmfpn import Align, upsample_like


def rewrite_neck(neck: ATMFPN) -> None:
    """Rewrite a neck in place: channels are interleaved after the lateral convolutions, and restored in its outputs.

    A neck whose lateral maps are normalised stays as it is: its plain operations give the same values, only slower.
    """
    laterals: Any = list(neck.inner_blocks)
    if any(len(lateral) > 1 for lateral in laterals):
        return
    mixes: Any = list(neck.layer_blocks)
    dim, axes = mixes[0].atm.dim, mixes[0].atm.axes
    groups = mixes[0].offset.proj.out_features // axes
    order = interleaved(dim, groups)
    for lateral in laterals:
        reorder(lateral[0], rows=order)
    for mix in mixes:
        for norm in (mix.offset.norm, mix.norm):
            reorder(norm, rows=order)
        reorder(mix.offset.proj, columns=order)
        reorder_atm(mix.atm, order)
        mix.atm, mix.offset = PlainATM(mix.atm, groups), PredictTaps(mix.offset, axes)
    both = torch.cat([order, order + dim])  # the fine and the coarse level side by side
    for i, align in enumerate(neck.top_down):
        if isinstance(align, Align):
            reorder(align.offset.norm, rows=both)
            reorder(align.offset.proj, columns=both)
            neck.top_down[i] = PlainAlign(align, groups)
    neck.layer_blocks = nn.ModuleList([nn.Sequential(mix, Restore(groups)) for mix in mixes])


class PlainAlign(nn.Module):
    """:class:`atmnet.necks.atmfpn.Align` on interleaved channels: (B, H, W, C), (B, H', W', C) -> (B, H, W, C)."""

    def __init__(self, align: Align, groups: int) -> None:
        super().__init__()
        self.offset, self.groups = PredictTaps(align.offset, 2), groups

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        coarse = upsample_like(coarse, fine)
        at = self.offset(torch.cat([fine, coarse], -1))
        grouped = coarse.unflatten(-1, (-1, self.groups))
        return fine + sample(sample(grouped, Taps(*at[:4]), 2), Taps(*at[4:]), 1).flatten(-2)


class PlainPool(nn.AdaptiveAvgPool2d):
    """Adaptive average pooling to a square as two matrix products: (B, C, H, W) -> (B, C, P, P).

    ONNX has no pooling whose windows depend on an open size, but the weights of every row and column can be computed.
    """

    output_size: int

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (_weights(side, self.output_size).to(x.dtype) for side in x.shape[-2:])
        return rows @ x @ columns.T


def _weights(length: int, cells: int) -> Tensor:
    """The weight of each token in the mean of each cell: (P, L)."""
    cell, token = torch.arange(cells).unsqueeze(-1), torch.arange(length)
    first, end = cell * length // cells, ((cell + 1) * length + cells - 1) // cells
    return ((token >= first) & (token < end)).float() / (end - first)
