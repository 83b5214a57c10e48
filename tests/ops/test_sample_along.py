"""The operator does what it says: values, axes, share groups, and everything beyond the border."""

import pytest
import torch

from atmnet.ops import sample_along
from tests.ops.oracle import loops, offsets

# Shape of x, axis, share groups: one to three token axes, axes counted from either end, lengths all different.
CASES = [
    ((2, 5, 4), 1, 4),
    ((2, 5, 4), -2, 1),
    ((7, 3), 0, 3),
    ((2, 5, 3, 4), 1, 2),
    ((2, 5, 3, 4), 2, 2),
    ((2, 5, 3, 4), -3, 4),
    ((2, 5, 3, 4), -2, 1),
    ((2, 5, 3, 4), 0, 2),
    ((2, 2, 3, 5, 6), 1, 3),
    ((2, 2, 3, 5, 6), -3, 3),
    ((2, 2, 3, 5, 4), -2, 1),
]


@pytest.mark.parametrize(("shape", "dim", "groups"), CASES, ids=str)
def test_definition(shape, dim, groups, backend):
    x, offset = torch.randn(shape, dtype=torch.float64), offsets(*shape[:-1], groups)
    out = sample_along(x, offset, dim, backend)
    torch.testing.assert_close(out, loops(x, offset, dim), rtol=1e-12, atol=1e-12)


def test_the_channels_of_a_group_are_neighbours(backend):
    x = torch.arange(4 * 6, dtype=torch.float64).view(4, 6)
    offset = torch.tensor([1.0, 0.0]).expand(4, 2)
    out = sample_along(x, offset, 0, backend)
    assert out[0].tolist() == [6, 7, 8, 3, 4, 5]


def test_whole_offsets_copy_exactly(backend):
    x = torch.randn(2, 5, 4)
    assert sample_along(x, torch.zeros(2, 5, 4), 1, backend).equal(x)
    ahead = sample_along(x, torch.full((2, 5, 2), 2.0), 1, backend)
    assert ahead[:, :3].equal(x[:, 2:])
    assert not ahead[:, 3:].any()


def test_tokens_beyond_the_border_are_zero(backend):
    x = torch.ones(1, 4, 1, dtype=torch.float64)
    offset = torch.tensor([-0.25, -2.5, 2.0, 0.75], dtype=torch.float64).view(1, 4, 1)
    assert sample_along(x, offset, 1, backend).flatten().tolist() == [0.75, 0, 0, 0.25]


@pytest.mark.parametrize("far", [float("inf"), -float("inf"), 1e30, -1e30, 3e9, -3e9, 5.0, -6.0])
def test_far_outside_is_zero(far, backend):
    # 3e9 is more than an int32 holds, 1e30 more than an int64 does.
    x = torch.randn(2, 5, 3, 4, requires_grad=True)
    offset = torch.full((2, 5, 3, 2), far, requires_grad=True)
    out = sample_along(x, offset, 1, backend)
    assert not out.any()
    out.sum().backward()
    assert not x.grad.any()
    assert not offset.grad.any()


def test_nan_stays_where_it_is(backend):
    x = torch.randn(2, 5, 4, requires_grad=True)
    offset = offsets(2, 5, 2, dtype=torch.float32).requires_grad_()
    clean = sample_along(x, offset.detach().clone(), 1, backend)
    with torch.no_grad():
        offset[1, 2, 0] = float("nan")
    out = sample_along(x, offset, 1, backend)

    hit = torch.zeros(2, 5, 4, dtype=torch.bool)
    hit[1, 2, :2] = True  # the two channels of that group
    assert out.isnan().equal(hit)
    assert out[~hit].equal(clean[~hit])

    # Its outputs add nothing to the gradient of x: the same as if they were not looked at.
    grad, offset_grad = torch.autograd.grad(out.sum(), (x, offset))
    expected = torch.autograd.grad(clean[~hit].sum(), x)[0]
    torch.testing.assert_close(grad, expected)
    others = torch.ones_like(offset_grad, dtype=torch.bool)
    others[1, 2, 0] = False
    assert offset_grad[others].isfinite().all()


def test_values_beyond_the_border_are_skipped_not_multiplied(backend):
    # An outside tap must not let the infinity at the border through as 0 * inf, whatever index stands in for it.
    x = torch.tensor([float("inf"), 1.0, 2.0]).view(3, 1)
    offset = torch.tensor([-9.0, 0.0, 9.0]).view(3, 1)
    assert sample_along(x, offset, 0, backend).flatten().tolist() == [0, 1, 0]


def test_a_single_token(backend):
    x = torch.tensor([2.0]).expand(4, 1, 1).contiguous()
    offset = torch.tensor([0.0, 0.25, -0.5, 1.0]).view(4, 1, 1)
    assert sample_along(x, offset, 1, backend).flatten().tolist() == [2, 1.5, 1, 0]


@pytest.mark.parametrize("shape", [(0, 5, 3, 4), (2, 0, 3, 4), (2, 5, 0, 4)])
def test_empty(shape, backend):
    x, offset = torch.randn(shape, requires_grad=True), torch.randn(*shape[:-1], 2, requires_grad=True)
    out = sample_along(x, offset, 1, backend)
    assert out.shape == shape
    out.sum().backward()
    assert x.grad.shape == x.shape
    assert offset.grad.shape == offset.shape


def test_strides_do_not_matter(backend):
    x = torch.randn(2, 4, 5, 3).permute(0, 2, 3, 1)  # tokens that come from a convolution
    offset = offsets(2, 5, 3, 6, dtype=torch.float32)
    for view in (offset[..., 2:4], offset[..., ::3], offset[..., :2].transpose(1, 2).contiguous().transpose(1, 2)):
        assert not view.is_contiguous()
        out = sample_along(x, view, 1, backend)
        assert out.equal(sample_along(x.contiguous(), view.contiguous(), 1, backend))


def test_inputs_stay_as_they_are(backend):
    x, offset = torch.randn(2, 5, 4), torch.randn(2, 5, 2)
    before = x.clone(), offset.clone()
    sample_along(x, offset, 1, backend)
    assert x.equal(before[0])
    assert offset.equal(before[1])
