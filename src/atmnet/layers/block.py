"""Blocks, and the stages that predict their offsets.

Shapes: B images, L* token axes (H W for images), C channels, S channels per share group, G = C / S, A token axes.
"""

from collections.abc import Sequence
from typing import Any, Optional

import torch
from timm.layers import DropPath, drop_path
from timm.models import checkpoint
from torch import Tensor, nn
from torch.fx import Proxy
from torch.types import Device

from atmnet.layers.atm import ATM, OffsetPredictor
from atmnet.layers.embed import PositionEncoding
from atmnet.layers.factory import FactoryOptions
from atmnet.layers.mlp import MemoryEfficientMlp
from atmnet.layers.symbolic import record_call


def group_starts(depth: int, interval: int) -> list[int]:
    """Indices of the blocks of a stage before which offsets are predicted: every ``interval`` blocks, never the last.

    Args:
        depth: Number of blocks of the stage; at least 2.
        interval: Number of blocks that share offsets; at least 1.

    Returns:
        The indices, from 0, in ascending order.

    Raises:
        ValueError: If ``depth`` < 2 (the last block reuses offsets, so a single block would have none) or
            ``interval`` < 1.

    Examples:
        >>> group_starts(5, 2)
        [0, 2]
    """
    if depth < 2:
        raise ValueError(f"depth: got {depth}, expected at least 2: the last block of a stage reuses offsets")
    if interval < 1:
        raise ValueError(f"interval: got {interval}, expected at least 1")
    return list(range(0, depth - 1, interval))


class StochasticDepth(DropPath):
    """timm's ``DropPath``, as one node in the symbolic traces of torch.fx."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            if isinstance(x, Proxy):
                return record_call(self, x)
        return drop_path(x, self.drop_prob, self.training, self.scale_by_keep)


class Block(nn.Module):
    """Mixes tokens by ATM, then channels by an MLP, each with a LayerNorm before and a residual connection around it.

    Args:
        dim: Channels C.
        axes: Number of token axes A.
        mlp_ratio: Hidden channels of the MLP as a multiple of C.
        drop_path: Probability of dropping each residual branch per image in training (stochastic depth).

    Shape:
        x (B, L*, C), offset (B, L*, A * G), optional mask (B, L*) -> (B, L*, C); see :class:`ATM`.

    Examples:
        >>> from atmnet.layers import Block
        >>> x, offset = torch.randn(1, 9, 64), torch.zeros(1, 9, 32)  # a sequence of 9 tokens, S = 2
        >>> Block(64, axes=1)(x, offset).shape
        torch.Size([1, 9, 64])
    """

    def __init__(
        self,
        dim: int,
        axes: int = 2,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        dd = FactoryOptions(device=device, dtype=dtype)
        self.norm1 = nn.LayerNorm(dim, **dd)
        self.atm = ATM(dim, axes, **dd)
        self.norm2 = nn.LayerNorm(dim, **dd)
        self.mlp = MemoryEfficientMlp(dim, int(dim * mlp_ratio), **dd)
        self.drop_path = StochasticDepth(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor, offset: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        x = x + self.drop_path(self.atm(self.norm1(x), offset, mask))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class OffsetGroup(nn.Module):
    """Consecutive blocks that sample at the same offsets, and the predictor of these offsets.

    Args:
        offset: The predictor, for C channels and A token axes.
        blocks: The blocks, for as many channels and axes; the first is the first to run.

    Shape:
        x (B, L*, C), optional mask (B, L*) -> (B, L*, C)

    Examples:
        >>> from atmnet.layers import Block, OffsetGroup, OffsetPredictor
        >>> group = OffsetGroup(OffsetPredictor(64, share=2), [Block(64), Block(64)])
        >>> group(torch.randn(1, 7, 7, 64)).shape
        torch.Size([1, 7, 7, 64])
    """

    def __init__(self, offset: OffsetPredictor, blocks: Sequence[Block]) -> None:
        super().__init__()
        self.offset = offset
        self.blocks = nn.ModuleList(blocks)
        self.grad_checkpointing = False

    def forward(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        offset = self.offset(x)
        for block in self.blocks:
            if torch.jit.is_scripting():
                x = block(x, offset, mask)
            else:
                x = self._run(block, x, offset, mask)
        return x

    @torch.jit.unused
    def _run(self, block: nn.Module, x: Tensor, offset: Tensor, mask: Optional[Tensor]) -> Any:
        if isinstance(block, nn.Identity):  # in place of a block that was removed
            return block(x)
        if self.grad_checkpointing and not isinstance(x, Proxy):
            return checkpoint(block, x, offset, mask)
        return block(x, offset, mask)


class Stage(nn.Module):
    """All blocks at one resolution, with one position encoding that is applied before each prediction of offsets.

    Args:
        dim: Channels C.
        depth: Number of blocks; at least 2.
        axes: Number of token axes A.
        share: Number of consecutive channels S that share an offset.
        interval: Offsets are predicted every ``interval`` blocks, but never for the last block alone.
        mlp_ratio: Hidden channels of the MLPs as a multiple of C.
        drop_path: Stochastic depth rate of each block; default 0 for all.
        dilation: Distance in tokens between the taps of the position encoding, and factor of the offsets.
        downsample: A module that is applied to the tokens first, (B, L'*, C') -> (B, L*, C); default none.

    Shape:
        x (B, L*, C), optional mask (B, L*), bool, true where there is a token -> (B, L*, C). The mask has the
        resolution after ``downsample``.

    Raises:
        ValueError: If ``depth`` < 2, ``interval`` < 1, ``drop_path`` has not one rate for each block, or ``share`` does
            not divide ``dim``.

    Examples:
        >>> from atmnet.layers import Stage
        >>> stage = Stage(64, depth=4, axes=1, share=2)
        >>> mask = torch.arange(10) < torch.tensor([[10], [7]])  # sequences of 10 and of 7 tokens
        >>> stage(torch.randn(2, 10, 64), mask).shape
        torch.Size([2, 10, 64])
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        *,
        axes: int = 2,
        share: int = 1,
        interval: int = 2,
        mlp_ratio: float = 4.0,
        drop_path: Sequence[float] | None = None,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        dd = FactoryOptions(device=device, dtype=dtype)
        starts = group_starts(depth, interval)
        rates = [0.0] * depth if drop_path is None else list(drop_path)
        if len(rates) != depth:
            raise ValueError(f"drop_path: got {len(rates)} rates, expected one for each of {depth} blocks")
        self.downsample = downsample if downsample is not None else nn.Identity()
        self.pos_embed = PositionEncoding(dim, axes, dilation=dilation, **dd)
        self.groups = nn.ModuleList()
        for start, end in zip(starts, [*starts[1:], depth], strict=True):
            blocks = [Block(dim, axes, mlp_ratio, rate, **dd) for rate in rates[start:end]]
            predictor = OffsetPredictor(dim, share, axes, dilation=dilation, **dd)
            self.groups.append(OffsetGroup(predictor, blocks))

    def forward(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        x = self.downsample(x)
        for group in self.groups:
            if mask is None:  # not passed on, so that an nn.Identity can take the place of these modules
                x = group(self.pos_embed(x))
            else:
                x = group(self.pos_embed(x, mask), mask)
        return x
