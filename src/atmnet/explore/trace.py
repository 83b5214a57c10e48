"""Where a token's content came from: its reads, followed back through all groups of blocks to the patches of pixels.

Shapes: H x W tokens of a stage, G share groups, A = 2 axes, K = 3 branches (width, height, the token itself).

The content of a token is followed as an amount, 1 at the token. A block keeps a part of it where it is: the measured
share of the residual connection, and the fusion weight of the token itself. It moves the rest to the places that the
share groups read, each group with its fusion weights. What was read outside of the picture is lost, as zeros are. The
convolution between two stages spreads an amount evenly over the tokens of its 3x3 window. All share groups count alike,
since each block's matrices mix their channels. MLPs move nothing, and the depthwise position encoding is left out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from atmnet.report.drawing import MAX_LINKS, MIN_LINK
from atmnet.report.field import Fusion


class TracedBlock(NamedTuple):
    """What :func:`trace` needs of a block.

    Attributes:
        offsets: (A, H, W, G) in tokens.
        fusion: Its fusion weights (K, G), which sum to 1 over K, and the share of the residual connection.
        group: Index of its group of blocks.
    """

    offsets: Tensor
    fusion: Fusion
    group: int


class Link(NamedTuple):
    """An amount of content that a block moved, from a token that it read to a token that it wrote.

    Attributes:
        group: Index of the block's group; the tokens are those of its stage.
        source: (row, column) of the token that was read.
        reader: (row, column) of the token that read it.
        amount: Share of the traced token's content.
    """

    group: int
    source: tuple[int, int]
    reader: tuple[int, int]
    amount: float


class Trace(NamedTuple):
    """The origin of a token's content.

    Attributes:
        origin: (H, W) of the first stage: the share of the content that each patch of pixels gave.
        outside: The share that was read outside of the picture, where tokens count as zero.
        links: The largest amounts that moved, the last block's first.
    """

    origin: Tensor
    outside: float
    links: list[Link]


def trace(blocks: Sequence[TracedBlock], row: int, column: int) -> Trace:
    """Follow the content of a token after the last of ``blocks`` back to the pixels.

    Args:
        blocks: All blocks of the network up to the one that wrote the token, in order.
        row, column: The token.
    """
    _, height, width, _ = blocks[-1].offsets.shape
    amount = torch.zeros(height, width, dtype=torch.float64)
    amount[row, column] = 1
    links: list[Link] = []
    for block in reversed(blocks):
        size = block.offsets.shape[1:3]
        if size != amount.shape:
            amount = _spread(amount, *size)
        amount, moved = _step(block, amount)
        links += moved
    return Trace(amount, max(0.0, 1 - amount.sum().item()), links)


def _step(block: TracedBlock, amount: Tensor) -> tuple[Tensor, list[Link]]:
    """The amounts (H, W) before a block, and its links."""
    _, height, width, groups = block.offsets.shape
    readers = amount.flatten().nonzero().flatten()
    here = amount.flatten()[readers]
    weights = block.fusion.weights.double() * (1 - block.fusion.kept) / groups
    before = torch.zeros(height * width, dtype=torch.float64)
    before[readers] = here * (block.fusion.kept + weights[2].sum())
    at = (readers // width, readers % width)
    pairs, amounts = [], []
    for axis, length in ((0, width), (1, height)):
        place = block.offsets[axis].double().flatten(0, 1)[readers] + at[1 - axis].unsqueeze(-1)
        left = place.floor()
        for source, share in ((left, 1 - (place - left)), (left + 1, place - left)):
            inside = (source >= 0) & (source < length)
            along = source.where(inside, torch.zeros(())).long()
            token = at[0].unsqueeze(-1) * width + along if axis == 0 else along * width + at[1].unsqueeze(-1)
            moved = (here.unsqueeze(-1) * share * weights[axis]).where(inside, torch.zeros((), dtype=torch.float64))
            before.index_add_(0, token.flatten(), moved.flatten())
            pairs.append((readers.unsqueeze(-1) * before.numel() + token).flatten())
            amounts.append(moved.flatten())
    return before.view(height, width), _links(block.group, torch.cat(pairs), torch.cat(amounts), (height, width))


def _links(group: int, pairs: Tensor, amounts: Tensor, size: tuple[int, int]) -> list[Link]:
    """The largest links of a block: amounts between the same two tokens, over all share groups, are one link.

    Args:
        group: Index of the block's group.
        pairs: For each amount the number of the reader times H W, plus the number of the token that it reads.
        amounts: The amounts.
        size: (H, W).
    """
    count, width = size[0] * size[1], size[1]
    is_move = (pairs // count != pairs % count) & (amounts > 0)
    unique, inverse = pairs[is_move].unique(return_inverse=True)
    totals = torch.zeros(len(unique), dtype=torch.float64).index_add(0, inverse, amounts[is_move])
    best = totals.topk(min(MAX_LINKS, len(totals)))
    return [
        Link(group, divmod(pair % count, width), divmod(pair // count, width), total)
        for pair, total in zip(unique[best.indices].tolist(), best.values.tolist(), strict=True)
        if total >= MIN_LINK
    ]


def _spread(amount: Tensor, height: int, width: int) -> Tensor:
    """Amounts at the tokens of a stage -> amounts at the H x W tokens before the convolution of stride 2."""
    inside = F.unfold(torch.ones(1, 1, height, width, dtype=torch.float64), 3, padding=1, stride=2)
    columns = inside * amount.flatten() / inside.sum(1, keepdim=True)
    return F.fold(columns, (height, width), 3, padding=1, stride=2)[0, 0]
