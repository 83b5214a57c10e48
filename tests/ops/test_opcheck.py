"""The CPU kernels as operators of torch: what it checks of any, compilation, second derivatives, transforms."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradgradcheck

from atmnet.ops import _dispatch, available_backends, sample_branches
from tests.ops.compilers import COMPILERS
from tests.ops.numerics import BRAIN, FLOAT, HALF, WIDE, Case
from tests.ops.oracle import offsets

pytestmark = [
    pytest.mark.skipif("numba" not in available_backends(torch.empty(1)), reason="needs numba"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),  # opcheck's own doing
]


def packed(tensor: Tensor) -> Tensor:
    return tensor


def a_slice(tensor: Tensor) -> Tensor:
    """As offsets come from one Linear for all axes."""
    return torch.cat([tensor, tensor, tensor], -1)[..., tensor.size(-1) : 2 * tensor.size(-1)]


def channels_first(tensor: Tensor) -> Tensor:
    """As tokens come from a convolution."""
    return tensor.movedim(-1, 1).contiguous().movedim(1, -1)


def one_number(tensor: Tensor) -> Tensor:
    """As the gradient of a sum comes."""
    return tensor.flatten()[0].expand_as(tensor)


ROWS = [
    (Case((7, 4), 2, dim=0), FLOAT, FLOAT, (packed, packed, packed), "x offset upstream"),
    (Case((2, 5, 3, 6), 2, dim=1), FLOAT, WIDE, (packed, a_slice, packed), ""),
    (Case((2, 5, 3, 6), 2, dim=2), BRAIN, FLOAT, (channels_first, packed, one_number), "x"),
    (Case((2, 5, 3, 4), 2, axes=2), WIDE, WIDE, (channels_first, a_slice, one_number), "x offset upstream"),
    (Case((2, 1, 4), 2, axes=1), HALF, HALF, (packed, a_slice, packed), "offset"),
    (Case((0, 5, 3, 4), 4, axes=2), FLOAT, FLOAT, (packed, packed, packed), "upstream"),
]


@pytest.mark.parametrize(("case", "dtype", "offset_dtype", "layouts", "wanted"), ROWS)
def test_what_torch_checks(case, dtype, offset_dtype, layouts, wanted):
    args = case.inputs(dtype, offset_dtype)
    x, offset, upstream = (layout(tensor) for layout, tensor in zip(layouts, args, strict=True))
    dims = [-2 - k for k in range(case.axes)]
    if case.dim is not None:
        dims, upstream = [case.dim - x.dim()], upstream.unsqueeze(-2)
    for name, tensor in {"x": x, "offset": offset, "upstream": upstream}.items():
        tensor.requires_grad_(name in wanted.split())
    torch.library.opcheck(torch.ops.atmnet.numba.default, (x, offset, dims, case.dim is None))
    torch.library.opcheck(torch.ops.atmnet.numba_backward.default, (upstream, x, offset, dims))


@pytest.mark.parametrize("compiler", COMPILERS)
def test_compiled_with_any_size(compiler):
    def function(x: Tensor, offset: Tensor) -> Tensor:
        return sample_branches(2 * x, offset.sin() * 3, 2, "numba").square()

    torch.compiler.reset()
    compiled = torch.compile(function, backend=compiler, fullgraph=True, dynamic=True)
    for shape in ((2, 5, 7, 6), (3, 4, 5, 6), (2, 7, 3, 12)):
        x, offset = torch.randn(shape, dtype=WIDE), torch.randn(shape, dtype=WIDE)
        runs = []
        for call in (function, compiled):
            args = x.clone().requires_grad_(), offset.clone().requires_grad_()
            out = call(*args)
            runs.append((out, *torch.autograd.grad(out.sum(), args)))
        torch.testing.assert_close(*runs)


@pytest.mark.parametrize(("axes", "grid"), [(1, (5,)), (2, (3, 2)), (3, (2, 1, 3))])
def test_second_derivative_of_all_branches(axes, grid):
    x = torch.randn(2, *grid, 4, dtype=WIDE, requires_grad=True)
    offset = offsets(2, *grid, axes * 2).requires_grad_()
    assert gradgradcheck(lambda x, offset: sample_branches(x, offset, axes, "numba"), (x, offset))


@pytest.mark.parametrize("wanted", ["x", "offset"])
def test_second_derivative_by_one_argument(wanted):
    args = {"x": torch.randn(2, 5, 4, dtype=WIDE), "offset": offsets(2, 5, 2)}
    args[wanted].requires_grad_()
    runs = []
    for backend in ("numba", "reference"):
        out = sample_branches(args["x"], args["offset"], 1, backend)
        (once,) = torch.autograd.grad(out.square().sum(), args[wanted], create_graph=True)
        runs.append(torch.autograd.grad(once.square().sum(), args[wanted]))
    torch.testing.assert_close(*runs)


def by_vmap(function: Callable[..., Tensor], x: Tensor, offset: Tensor) -> Tensor:
    return torch.vmap(function)(x.unsqueeze(0), offset.unsqueeze(0))[0]


def by_jvp(function: Callable[..., Tensor], x: Tensor, offset: Tensor) -> Tensor:
    return torch.func.jvp(function, (x, offset), (x, offset))[0]


def by_forward_mode(function: Callable[..., Tensor], x: Tensor, offset: Tensor) -> Tensor:
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, x)
        return torch.autograd.forward_ad.unpack_dual(function(dual, offset)).primal


def by_func_grad(function: Callable[..., Tensor], x: Tensor, offset: Tensor) -> Tensor:
    def with_output(x: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        out = function(x, offset)
        return out.sum(), out

    return torch.func.grad(with_output, has_aux=True)(x, offset)[1]


def by_export(function: Callable[..., Tensor], x: Tensor, offset: Tensor) -> Tensor:
    class Module(torch.nn.Module):
        def forward(self, x: Tensor, offset: Tensor) -> Tensor:
            return function(x, offset)

    program = torch.export.export(Module(), (x, offset))
    assert "atmnet." not in program.graph_module.code
    return program.module()(x, offset)


def by_trace(function: Callable[..., Tensor], x: Tensor, offset: Tensor) -> Tensor:
    traced = torch.jit.trace(function, (x, offset), check_trace=False)  # which calls it as it is
    assert "atmnet::" not in str(traced.graph)
    return traced(x, offset)


@pytest.mark.filterwarnings("ignore:`torch.jit", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("way", [by_vmap, by_jvp, by_forward_mode, by_func_grad, by_export, by_trace])
def test_the_reference_steps_in(way, monkeypatch):
    calls = []
    kernels = _dispatch._BACKENDS["numba"]
    counted = kernels._replace(sample=lambda *args: (calls.append(args), kernels.sample(*args))[1])
    monkeypatch.setitem(_dispatch._BACKENDS, "numba", counted)

    def function(x: Tensor, offset: Tensor) -> Tensor:
        return sample_branches(x, offset, 2)

    x, offset = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 3, 4)
    expected = function(x, offset)
    assert len(calls) == 1
    torch.testing.assert_close(way(function, x, offset), expected)
    assert len(calls) == 1
