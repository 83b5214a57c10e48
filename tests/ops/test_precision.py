"""Dtypes: what comes out, and how far it may be from float64."""

import pytest
import torch
from torch import Tensor

from atmnet.ops import sample_along
from tests.ops.oracle import loops, offsets

FLOAT, WIDE, HALF, BRAIN = torch.float32, torch.float64, torch.float16, torch.bfloat16
PAIRS = [(WIDE, WIDE), (WIDE, FLOAT), (FLOAT, FLOAT), (FLOAT, WIDE), (FLOAT, BRAIN)]
PAIRS += [(half, offset) for half in (HALF, BRAIN) for offset in (half, FLOAT, WIDE)]


def inputs(dtype: torch.dtype, offset_dtype: torch.dtype, length: int = 11) -> tuple[Tensor, Tensor]:
    x = torch.randn(2, length, 3, 4).to(dtype).requires_grad_()
    return x, offsets(2, length, 3, 2, reach=9).to(offset_dtype).requires_grad_()


@pytest.mark.parametrize(("dtype", "offset_dtype"), PAIRS, ids=str)
def test_values(dtype, offset_dtype, backend):
    x, offset = inputs(dtype, offset_dtype)
    out = sample_along(x, offset, 1, backend)
    assert out.dtype == dtype
    assert out.shape == x.shape

    # The oracle sees the same rounded inputs, so what is left is one rounding of the result, and positions up to
    # L in float32 (or float64) times the slope of x. Positions in half precision would miss this by a factor of 100.
    expected = loops(x, offset, 1)
    inner = torch.finfo(torch.promote_types(offset_dtype, FLOAT)).eps
    largest = x.detach().abs().max().double()
    allowed = torch.finfo(dtype).eps * expected.abs() + 4 * inner * x.size(1) * largest + torch.finfo(dtype).tiny
    assert ((out.double() - expected).abs() <= allowed).all()


@pytest.mark.parametrize(("dtype", "offset_dtype"), PAIRS, ids=str)
def test_gradients(dtype, offset_dtype, backend):
    x, offset = inputs(dtype, offset_dtype)
    out = sample_along(x, offset, 1, backend)
    upstream = torch.randn(out.shape).to(dtype)
    out.backward(upstream)
    assert x.grad.dtype == dtype
    assert offset.grad.dtype == offset_dtype

    exact_x, exact_offset = (t.detach().double().requires_grad_() for t in (x, offset))
    sample_along(exact_x, exact_offset, 1, "reference").backward(upstream.double())
    sum_x, sum_offset = magnitudes(x, offset, upstream)

    # A sum of n terms, each rounded, is within n + 1 roundings of the sum of their magnitudes; each of the L tokens
    # of a line may read a token twice. The offset's gradient sums two taps over the S channels of the group, in
    # float32 at least, and is rounded once to its own dtype. Positions (up to L) are inexact besides.
    inner = 4 * x.size(1) * torch.finfo(torch.promote_types(offset_dtype, FLOAT)).eps
    allowed_x = ((2 * x.size(1) + 1) * torch.finfo(dtype).eps + inner) * sum_x
    allowed_offset = (torch.finfo(offset_dtype).eps + inner) * sum_offset
    assert ((x.grad.double() - exact_x.grad).abs() <= allowed_x).all()
    assert ((offset.grad.double() - exact_offset.grad).abs() <= allowed_offset).all()


def magnitudes(x: Tensor, offset: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of the magnitudes of the terms of both gradients, in float64; a slack of one term for moved positions."""
    x, upstream = x.detach().double().abs(), upstream.double().abs()
    ones = torch.ones_like(x).requires_grad_()
    (hits,) = torch.autograd.grad(sample_along(ones, offset.detach().double(), 1, "reference"), ones, upstream)
    largest = x.amax(1, keepdim=True) * upstream
    groups = offset.size(-1)
    return hits + upstream.amax(1, keepdim=True), 2 * largest.unflatten(-1, (groups, -1)).sum(-1)


def test_half_precision_offsets_lose_nothing_in_the_position(backend):
    # 1000 + 1/8 has no bfloat16 (spacing 4) nor float16 (spacing 1/2): the sum must be formed in float32.
    for dtype in (BRAIN, HALF):
        x = torch.zeros(1002, 1, dtype=dtype)
        x[1001] = 1
        offset = torch.full((1002, 1), 0.125, dtype=dtype)
        assert sample_along(x, offset, 0, backend)[1000].item() == 0.125
