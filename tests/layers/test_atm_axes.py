"""ATM treats every axis alike, and an axis that is not looked along changes nothing: 1-D, 2-D and 3-D are one layer."""

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from atmnet.layers import ATM
from tests.layers.layers import randomised
from tests.ops.oracle import offsets

C, S, B = 8, 2, 2
G = C // S
SIZE = (3, 4, 5)  # D H W


def tokens(*grid: int) -> Tensor:
    return torch.randn(B, *grid, C, dtype=torch.float64)


def test_definition_in_two_axes():
    """The formulas of the paper, token by token, with the sampling done by the loops of the oracle."""
    from tests.ops.oracle import loops

    layer, x, offset = randomised(ATM(C)), tokens(4, 5), offsets(B, 4, 5, 2 * G)
    w = loops(x, offset[..., :G], 2) @ layer.along[0].weight.T + layer.along[0].bias
    h = loops(x, offset[..., G:], 1) @ layer.along[1].weight.T + layer.along[1].bias
    c = x @ layer.identity.weight.T
    fc1, fc2 = layer.fusion.fc1, layer.fusion.fc2
    hidden = nn.functional.gelu((w + h + c).mean((1, 2)) @ fc1.weight.T + fc1.bias)
    a = (hidden @ fc2.weight.T + fc2.bias).view(B, 1, 1, C, 3).softmax(-1)
    out = (a[..., 0] * w + a[..., 1] * h + a[..., 2] * c) @ layer.proj.weight.T + layer.proj.bias
    torch.testing.assert_close(layer(x, offset), out)


@pytest.mark.parametrize("order", [*itertools.permutations(range(2)), *itertools.permutations(range(3))], ids=str)
def test_axes_are_alike(order):
    """Transposed tokens, with the branches' weights and offsets in the new order, give the transposed output."""
    axes = len(order)
    layer, turned = randomised(ATM(C, axes)), randomised(ATM(C, axes))
    x, offset = tokens(*SIZE[-axes:]), offsets(B, *SIZE[-axes:], axes * G)

    # Axis order[i] of x becomes axis i. Branch k looks along axis -1 - k, so branches follow from the other end.
    branch = [axes - 1 - order[axes - 1 - k] for k in range(axes)]
    turned.load_state_dict(layer.state_dict())
    for k in range(axes):
        turned.along[k].load_state_dict(layer.along[branch[k]].state_dict())
    for mine, other in zip(turned.fusion.fc2.parameters(), layer.fusion.fc2.parameters(), strict=True):
        mine.data = other.data.unflatten(0, (C, axes + 1))[:, [*branch, axes]].flatten(0, 1)
    there = (0, *[1 + i for i in order], axes + 1)
    turned_offset = torch.cat([offset.chunk(axes, -1)[k] for k in branch], -1).permute(there)

    torch.testing.assert_close(turned(x.permute(there), turned_offset), layer(x, offset).permute(there))


def without_last_branch(layer: ATM) -> ATM:
    """The ATM of one axis less that has the same weights, but for the branch along the outermost axis."""
    axes = layer.axes - 1
    smaller = randomised(ATM(C, axes))
    state = {key: value for key, value in layer.state_dict().items() if not key.startswith(f"along.{axes}.")}
    for key in ("fusion.fc2.weight", "fusion.fc2.bias"):
        state[key] = state[key].unflatten(0, (C, axes + 2))[:, [*range(axes), axes + 1]].flatten(0, 1)
    smaller.load_state_dict(state)
    return smaller


def silence_last_branch(layer: ATM) -> None:
    """Make the branch along the outermost axis 0 (when it looks outside) and its fusion weight exactly 0."""
    with torch.no_grad():
        layer.along[-1].get_parameter("bias").zero_()
        layer.fusion.fc2.get_parameter("bias").unflatten(0, (C, layer.axes + 1))[:, layer.axes - 1] = -1e9


@pytest.mark.parametrize("axes", [2, 3])
def test_an_axis_of_length_one_that_nobody_looks_along(axes):
    """A single row is a sequence and a single frame an image: then the mean over tokens is the same too."""
    layer = randomised(ATM(C, axes))
    silence_last_branch(layer)
    grid = (1, *SIZE[1 - axes :])
    x, offset = tokens(*grid), offsets(B, *grid, axes * G)
    offset[..., -G:] = 2.0  # outside
    inner = offset[..., :-G].squeeze(1)
    torch.testing.assert_close(layer(x, offset).squeeze(1), without_last_branch(layer)(x.squeeze(1), inner))


@pytest.mark.parametrize("axes", [2, 3])
def test_slices_along_an_axis_that_nobody_looks_along(axes):
    """Rows of an image as sequences, frames of a video as images.

    The fusion's mean is over the whole grid, which would tie the slices together: so its weights are made constant.
    """
    layer = randomised(ATM(C, axes))
    silence_last_branch(layer)
    with torch.no_grad():
        layer.fusion.fc2.weight.zero_()
    grid = SIZE[-axes:]
    x, offset = tokens(*grid), offsets(B, *grid, axes * G)
    offset[..., -G:] = 2.0 * max(SIZE)  # outside
    slices = without_last_branch(layer)(x.flatten(0, 1), offset[..., :-G].flatten(0, 1))
    torch.testing.assert_close(layer(x, offset), slices.unflatten(0, x.shape[:2]))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_gradcheck(axes):
    layer = randomised(ATM(4, axes))
    grid = (2, 3, 2)[-axes:]
    x = torch.randn(1, *grid, 4, dtype=torch.float64, requires_grad=True)
    offset = offsets(1, *grid, axes * 2).requires_grad_()
    assert gradcheck(lambda x, offset, *_: layer(x, offset), (x, offset, *layer.parameters()))
