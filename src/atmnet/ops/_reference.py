"""The definition of sampling along an axis, in plain PyTorch under plain autograd.

Shapes: L tokens along the sampled axis, C channels, S channels per share group, G = C / S groups.
"""

import torch
from torch import Tensor


def sample_reference(x: Tensor, offset: Tensor, dims: list[int], identity: bool) -> Tensor:
    """Samples of x (.., C) along each of ``dims``, and x itself if ``identity``: (.., K, C). Offset (.., A * G)."""
    groups = offset.size(-1) // len(dims)
    branches = [sample_along_reference(x, offset.narrow(-1, k * groups, groups), dim) for k, dim in enumerate(dims)]
    if identity:
        branches.append(x)
    return torch.stack(branches, -2)


def sample_along_reference(x: Tensor, offset: Tensor, dim: int) -> Tensor:
    """``out[.., i, .., c] = x`` at position ``i + offset[.., i, .., c // S]`` of ``dim``, linearly interpolated."""
    dim = dim % x.dim()
    behind = x.dim() - 1 - dim  # axes after dim, channels included
    length, groups = x.size(dim), offset.size(-1)
    wide = torch.promote_types(offset.dtype, torch.float32)
    here = torch.arange(length, device=x.device, dtype=wide).view([length] + [1] * behind)

    # Below -1 and from L on both taps are outside, so clamping changes no value and turns infinities into numbers. Not
    # at -1: there the right-hand difference is not zero, and clamp may pass no gradient at its bounds.
    position = (here + offset.to(wide)).clamp(-2, length)
    left = position.floor()
    fraction = (position - left).unsqueeze(-1)

    # Tokens -2, -1, L and L + 1 are zero. A NaN position reads token -2, and stays NaN through its fraction.
    grouped = x.unflatten(-1, (groups, x.size(-1) // groups))
    edge = list(grouped.shape)
    edge[dim] = 2
    outside = grouped.new_zeros(edge)
    tokens = torch.cat([outside, grouped, outside], dim)
    index = (left.nan_to_num(-2.0) + 2).long().unsqueeze(-1).expand(grouped.shape)
    out = (1 - fraction) * tokens.gather(dim, index) + fraction * tokens.gather(dim, index + 1)
    return out.flatten(-2).to(x.dtype)
