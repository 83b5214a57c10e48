"""Which tokens a token reads, and which tokens read it.

Shapes: H x W tokens, G share groups, A = 2 axes (0 the width, 1 the height), K = 3 branches (the axes, then the token
itself), N reads.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Reads(NamedTuple):
    """N reads of one token by another, each for one share group along one axis. Tokens are numbered row by row.

    Attributes:
        reader: (N,) tokens that read.
        source: (N,) tokens that are read.
        axis: (N,) 0 along the width, 1 along the height.
        group: (N,) share groups.
        share: (N,) float64, the weight of ``source`` in the linear interpolation, above 0 and at most 1.
    """

    reader: Tensor
    source: Tensor
    axis: Tensor
    group: Tensor
    share: Tensor


def reads_of(offsets: Tensor, row: int, column: int) -> Reads:
    """What the token at ``row`` and ``column`` reads. Places outside of the picture read nothing.

    Args:
        offsets: (A, H, W, G) in tokens.
        row, column: The token that reads.
    """
    _, height, width, _ = offsets.shape
    parts = []
    for axis, (index, length) in enumerate([(column, width), (row, height)]):
        place = offsets[axis, row, column].double() + index
        left = place.floor()
        for source, share in ((left, 1 - (place - left)), (left + 1, place - left)):
            inside = (source >= 0) & (source < length) & (share > 0)
            group = inside.nonzero().flatten()
            along = source[group].long()
            token = row * width + along if axis == 0 else along * width + column
            parts.append(_reads(torch.tensor(row * width + column), token, axis, group, share[group]))
    return _joined(parts)


def readers_of(offsets: Tensor, row: int, column: int) -> Reads:
    """Who reads the token at ``row`` and ``column``: the exact inverse of :func:`reads_of`.

    Only tokens of the same row can read it along the width, and only those of the same column along the height.

    Args:
        offsets: (A, H, W, G) in tokens.
        row, column: The token that is read.
    """
    width = offsets.size(2)
    parts = []
    for axis, index in enumerate((column, row)):
        line = offsets[0, row] if axis == 0 else offsets[1, :, column]
        place = line.double() + torch.arange(len(line)).unsqueeze(-1)
        share = (1 - (place - index).abs()).nan_to_num(nan=0.0)
        along, group = (share > 0).nonzero(as_tuple=True)
        token = row * width + along if axis == 0 else along * width + column
        parts.append(_reads(token, torch.tensor(row * width + column), axis, group, share[along, group]))
    return _joined(parts)


def heat(offsets: Tensor, weights: Tensor, row: int, column: int) -> Tensor:
    """How strongly each token reads the one at ``row`` and ``column``, (H, W), as shares of what it mixes.

    A read counts with its share in the interpolation and with the fusion weight of its branch, as a mean over groups.

    Args:
        offsets: (A, H, W, G) in tokens.
        weights: (K, G) fusion weights.
        row, column: The token that is read.
    """
    _, height, width, groups = offsets.shape
    reads = readers_of(offsets, row, column)
    amounts = reads.share * weights.double()[reads.axis, reads.group] / groups
    return torch.zeros(height * width, dtype=torch.float64).index_add(0, reads.reader, amounts).view(height, width)


def _reads(reader: Tensor, source: Tensor, axis: int, group: Tensor, share: Tensor) -> Reads:
    reader, source = torch.broadcast_tensors(reader, source)
    return Reads(reader.expand_as(group), source.expand_as(group), torch.full_like(group, axis), group, share)


def _joined(parts: list[Reads]) -> Reads:
    return Reads(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
