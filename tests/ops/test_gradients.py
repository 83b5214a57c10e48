"""Gradients: right to float64, right-hand differences at the kinks, the same bits twice."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from atmnet.ops import sample_along
from tests.ops.oracle import offsets

CASES = [((2, 5, 4), 1, 2), ((2, 4, 3, 4), 1, 1), ((2, 4, 3, 2), -2, 2), ((1, 2, 3, 2, 2), -4, 1), ((3, 1, 2), 1, 2)]


@pytest.mark.parametrize(("shape", "dim", "groups"), CASES, ids=str)
def test_gradcheck(shape, dim, groups, backend):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    offset = offsets(*shape[:-1], groups).requires_grad_()
    assert gradcheck(lambda x, offset: sample_along(x, offset, dim, backend), (x, offset))


@pytest.mark.parametrize(("shape", "dim", "groups"), CASES[:3], ids=str)
def test_second_derivative(shape, dim, groups, backend):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    offset = offsets(*shape[:-1], groups).requires_grad_()
    assert gradgradcheck(lambda x, offset: sample_along(x, offset, dim, backend), (x, offset))


def test_each_gradient_by_itself(backend):
    x, offset = torch.randn(2, 5, 4, dtype=torch.float64), offsets(2, 5, 2)
    both = torch.autograd.grad(
        sample_along(x.requires_grad_(), offset.requires_grad_(), 1, backend).square().sum(), (x, offset)
    )
    for i, alone in enumerate((x, offset)):
        args = [x.detach(), offset.detach()]
        args[i] = alone.detach().requires_grad_()
        sample_along(*args, 1, backend).square().sum().backward()
        torch.testing.assert_close(args[i].grad, both[i])


@pytest.mark.parametrize("whole", [-6, -5, -3, -1, 0, 1, 2, 4, 5, 6])
def test_right_hand_difference_at_whole_positions(whole, backend):
    x = torch.randn(5, 4, dtype=torch.float64)
    offset = torch.full((5, 2), float(whole), dtype=torch.float64, requires_grad=True)
    sample_along(x, offset, 0, backend).sum().backward()

    beyond = torch.nn.functional.pad(x, (0, 0, 20, 20))
    here = torch.arange(5) + 20 + whole
    steps = beyond[here + 1] - beyond[here]  # includes the step up from the zero at -1 and down to the zero at L
    torch.testing.assert_close(offset.grad, steps.unflatten(-1, (2, 2)).sum(-1))


def test_zero_offsets_learn(backend):
    # A step along a ramp: to read one token ahead is to add one. Zeros are where a fresh predictor starts.
    x = torch.arange(16.0).view(16, 1)
    offset = torch.zeros(16, 1, requires_grad=True)
    for _ in range(50):
        loss = (sample_along(x, offset, 0, backend)[2:-2] - x[2:-2] - 1).square().sum()
        (grad,) = torch.autograd.grad(loss, offset)
        offset = (offset - 0.2 * grad).detach().requires_grad_()
    torch.testing.assert_close(offset[2:-2], torch.ones(12, 1))


@pytest.fixture
def _several_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_several_threads")
def test_the_same_bits_twice(backend):
    x, offset = torch.randn(3, 47, 31, 16, requires_grad=True), 9 * torch.randn(3, 47, 31, 8)
    offset.requires_grad_()
    runs = []
    for _ in range(3):
        out = sample_along(x, offset, 1, backend)
        runs.append((out, *torch.autograd.grad(out.square().sum(), (x, offset))))
    for again in runs[1:]:
        for first, second in zip(runs[0], again, strict=True):
            assert first.equal(second)


def test_gradient_of_a_strided_slice_lands_in_its_place(backend):
    x = torch.randn(2, 5, 4)
    whole = offsets(2, 5, 4, dtype=torch.float32).requires_grad_()
    part = whole.detach()[..., 1:3].clone().requires_grad_()
    sample_along(x, whole[..., 1:3], 1, backend).square().sum().backward()
    sample_along(x, part, 1, backend).square().sum().backward()
    assert whole.grad[..., 1:3].equal(part.grad)
    assert not whole.grad[..., [0, 3]].any()
