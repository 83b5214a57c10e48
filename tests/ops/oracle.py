"""A slow second definition of sampling along an axis, sharing no code and no formula with the operator."""

import numpy as np
import torch
from torch import Tensor


def loops(x: Tensor, offset: Tensor, dim: int) -> Tensor:
    """Every output as a sum of tents over all tokens of its line, in float64."""
    x64, offset64 = x.detach().double().numpy(), offset.detach().double().numpy()
    dim = range(x.dim())[dim]
    share = x.size(-1) // offset.size(-1)
    out = np.zeros_like(x64)
    for place in np.ndindex(*x.shape):
        group = (*place[:-1], place[-1] // share)
        position = place[dim] + offset64[group]
        for j in range(x.size(dim)):
            tap = (*place[:dim], j, *place[dim + 1 :])
            out[place] += np.maximum(0, 1 - abs(position - j)) * x64[tap]
    return torch.from_numpy(out)


def offsets(*shape: int, reach: float = 3.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random offsets within +-reach whose fractions lie in [0.1, 0.9], away from the kinks of interpolation."""
    whole = torch.randint(-round(reach), round(reach), shape).to(dtype)
    return whole + 0.1 + 0.8 * torch.rand(shape, dtype=dtype)
