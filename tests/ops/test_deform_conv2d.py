"""A second oracle that shares no code: torchvision's deformable convolution with the other axis' offset zero.

Finite offsets only: the oracle crashes the process on NaN.
"""

import pytest
import torch
from torch import Tensor
from torchvision.ops import deform_conv2d

from atmnet.ops import sample_along
from tests.ops.oracle import offsets

SHAPE = (2, 7, 5, 4)  # B H W C, all different
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
KINDS = {
    "between": lambda groups: offsets(*SHAPE[:-1], groups, reach=6),
    "whole": lambda groups: torch.randint(-7, 8, (*SHAPE[:-1], groups)).double(),
    "zero": lambda groups: torch.zeros(*SHAPE[:-1], groups, dtype=torch.float64),
    "far": lambda groups: 1e4 * torch.randn(*SHAPE[:-1], groups, dtype=torch.float64),
}


def by_deform_conv2d(x: Tensor, offset: Tensor, dim: int) -> Tensor:
    """The same by a 1x1 deformable convolution: identity weights, one offset group per share group, (dy, dx) pairs."""
    zero = torch.zeros_like(offset)
    pairs = torch.stack((zero, offset) if dim == 2 else (offset, zero), -1).flatten(-2)
    weight = torch.ones(x.size(-1), 1, 1, 1, dtype=x.dtype)  # depthwise
    out = deform_conv2d(x.permute(0, 3, 1, 2), pairs.permute(0, 3, 1, 2), weight)
    return out.permute(0, 2, 3, 1)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize("dim", [1, 2])
def test_values_and_gradients(dim, groups, kind, dtype, backend):
    x, offset = torch.randn(SHAPE, dtype=dtype), KINDS[kind](groups).to(dtype)
    upstream = torch.randn(SHAPE, dtype=dtype)
    runs = []
    for function in (lambda *args: sample_along(*args, backend), by_deform_conv2d):
        args = x.clone().requires_grad_(), offset.clone().requires_grad_()
        out = function(*args, dim)
        runs.append((out, *torch.autograd.grad(out, args, upstream)))
    for ours, theirs in zip(*runs, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=TOLERANCE[dtype], atol=10 * TOLERANCE[dtype])
