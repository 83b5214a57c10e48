"""Recomputing in the backward pass: the bits of torch's checkpoint, under everything that a graph may meet."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from atmnet.layers.memory import recompute_in_backward

WEIGHT = torch.nn.Parameter(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)))


def _plain(function, *args):
    return function(*args)


def _checkpoint(function, *args):
    return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False)


def _function(x, scale):
    return F.linear(F.gelu(x.square() * scale), WEIGHT)


def _inputs():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 4, generator=generator, requires_grad=True), torch.rand(4, generator=generator)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=str)
@pytest.mark.parametrize("reference", [_plain, _checkpoint])
def test_same_bits(reference, dtype):
    results = []
    for call in (recompute_in_backward, reference):
        x, scale = _inputs()
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            out = call(_function, x, scale)
        results.append([out, *torch.autograd.grad(out.float().square().sum(), [x, WEIGHT])])
    for ours, theirs in zip(*results, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.equal(theirs)


def test_what_is_kept_and_how_often_it_is_computed():
    calls, kept = [], []
    x, scale = _inputs()

    def counted(x, scale):
        calls.append(1)
        out = _function(x, scale)
        calls.append(2)
        return out

    with saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        out = recompute_in_backward(counted, x, scale)
    assert [tensor.data_ptr() for tensor in kept] == [x.data_ptr(), scale.data_ptr()]
    assert calls == [1, 2]
    out.sum().backward(retain_graph=True)
    assert calls == [1, 2, 1]  # the product at the end was not repeated
    first = x.grad.clone()
    out.sum().backward()
    assert calls == [1, 2, 1, 1]
    assert x.grad.equal(2 * first)


def test_second_derivatives():
    results = []
    for call in (recompute_in_backward, _plain):
        x, scale = _inputs()
        out = call(_function, x, scale).square().sum()
        (first,) = torch.autograd.grad(out, x, create_graph=True)
        results.append(torch.autograd.grad(first.square().sum(), [x, WEIGHT]))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_inputs_without_gradient():
    x, scale = _inputs()
    (ours,) = torch.autograd.grad(recompute_in_backward(_function, x.detach(), scale).sum(), WEIGHT)
    (expected,) = torch.autograd.grad(_function(x.detach(), scale).sum(), WEIGHT)
    assert ours.equal(expected)
    assert not recompute_in_backward(lambda x: x + 1, scale).requires_grad


def test_an_input_that_was_changed_is_noticed():
    x, scale = _inputs()
    out = recompute_in_backward(_function, x, scale)
    scale.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


class _Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.before = nn.Linear(4, 4)

    def forward(self, x, scale):
        return recompute_in_backward(_function, self.before(x), scale)


@pytest.mark.parametrize("around", ["checkpoint", "reentrant", "offload"])
def test_inside_of_what_else_saves_memory(around):
    torch.manual_seed(0)
    layer, results = _Layer(), []
    for saves in (True, False):
        x, scale = _inputs()
        if not saves:
            out = layer(x, scale)
        elif around == "offload":
            with save_on_cpu():
                out = layer(x, scale)
        else:
            out = checkpoint(layer, x, scale, use_reentrant=around == "reentrant")
        layer.zero_grad()
        WEIGHT.grad = None
        out.square().sum().backward()
        results.append([x.grad, WEIGHT.grad, layer.before.weight.grad.clone()])
    for ours, theirs in zip(*results, strict=True):
        assert ours.equal(theirs)


def test_an_outer_checkpoint_keeps_nothing_of_it():
    layer, kept = _Layer(), []
    x, scale = _inputs()
    with saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        checkpoint(layer, x, scale, use_reentrant=False)
    assert {tensor.data_ptr() for tensor in kept if tensor.numel()} <= {x.data_ptr(), scale.data_ptr()}
