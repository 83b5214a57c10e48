"""The definition of sampling along an axis, in plain PyTorch under plain autograd.

Shapes: L tokens along the sampled axis, C channels, S channels per share group, G = C / S groups.
"""

import torch
from torch import Tensor


def sample_along_reference(x: Tensor, offset: Tensor, dim: int) -> Tensor:
    """``out[.., i, .., c] = x`` at position ``i + offset[.., i, .., c // S]`` of ``dim``, linearly interpolated."""
    length = x.size(dim)
    dim = dim % x.dim()
    wide = torch.promote_types(offset.dtype, torch.float32)
    here = torch.arange(length, device=x.device, dtype=wide)
    here = here.view([length] + [1] * (x.dim() - 1 - dim))

    # Below -1 and from L on both taps are outside, so clamping changes no value and turns infinities into numbers. Not
    # at -1: there the right-hand difference is not zero, and clamp may pass no gradient at its bounds.
    position = (here + offset.to(wide)).clamp(-2, length)
    left = position.floor()
    fraction = (position - left).unsqueeze(-1)

    grouped = x.unflatten(-1, (offset.size(-1), x.size(-1) // offset.size(-1)))
    out = (1 - fraction) * _tap(grouped, left, dim) + fraction * _tap(grouped, left + 1, dim)
    return out.flatten(-2).to(x.dtype)


def _tap(grouped: Tensor, index: Tensor, dim: int) -> Tensor:
    """Tokens (.., L, .., G, S) at whole-numbered ``index`` (.., L, .., G) of ``dim``; zero outside and for NaN."""
    inside = (index >= 0) & (index < grouped.size(dim))
    safe = torch.where(inside, index, 0.0).long().unsqueeze(-1).expand(grouped.shape)
    return torch.where(inside.unsqueeze(-1), grouped.gather(dim, safe), 0.0)
