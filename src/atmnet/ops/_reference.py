"""The definition of sampling along an axis, in plain PyTorch under plain autograd.

Shapes: L tokens along the sampled axis, C channels, S channels per share group, G = C / S groups.
"""

import torch
from torch import Tensor


def position_dtype(offset: torch.dtype, length: int) -> torch.dtype:
    """The dtype of positions along an axis of ``length`` tokens, for offsets of a dtype.

    From 65536 tokens on, fractions of a token would be coarser than 1/128 in float32, and from 2**24 on there are none.
    """
    return torch.float64 if length > 65536 else torch.promote_types(offset, torch.float32)


def sample_reference(x: Tensor, offset: Tensor, dims: list[int], identity: bool) -> Tensor:
    """Sample x (.., C) along each of ``dims`` at offset (.., A * G); append x itself if ``identity``: (.., K, C)."""
    groups = offset.size(-1) // len(dims)
    branches = [sample_along_reference(x, offset.narrow(-1, k * groups, groups), dim) for k, dim in enumerate(dims)]
    if identity:
        branches.append(x)
    return torch.stack(branches, -2)


def sample_along_reference(x: Tensor, offset: Tensor, dim: int) -> Tensor:
    """``out[.., i, .., c] = x`` at position ``i + offset[.., i, .., c // S]`` of ``dim``, linearly interpolated."""
    dim = dim % x.dim()
    trailing = x.dim() - 1 - dim  # axes after dim, including channels
    length, groups = x.size(dim), offset.size(-1)
    dtype = torch.promote_types(offset.dtype, torch.float32)
    if torch.jit.is_scripting() or not (torch.jit.is_tracing() or torch.compiler.is_compiling()):
        dtype = position_dtype(offset.dtype, length)  # a compiler would take the comparison for a limit of the size
    index = torch.arange(length, device=x.device, dtype=dtype).view([length] + [1] * trailing)

    # Below -1 and from L on, both taps are outside: clamping changes no value there and makes infinities finite. The
    # lower bound is not -1, where the right-hand difference is not zero but clamp may pass no gradient.
    position = (index + offset.to(dtype)).clamp(-2, length)
    left = position.floor()
    fraction = (position - left).unsqueeze(-1)

    # Pad with zeros for the tokens -2, -1, L and L + 1. A NaN position reads token -2; its fraction keeps the NaN.
    grouped = x.unflatten(-1, (groups, x.size(-1) // groups))
    padding_shape = list(grouped.shape)
    padding_shape[dim] = 2
    padding = grouped.new_zeros(padding_shape)
    padded = torch.cat([padding, grouped, padding], dim)
    tap = (left.masked_fill(left.isnan(), -2.0) + 2).long().unsqueeze(-1).expand(grouped.shape)
    out = (1 - fraction) * padded.gather(dim, tap) + fraction * padded.gather(dim, tap + 1)
    return out.flatten(-2).to(x.dtype)
