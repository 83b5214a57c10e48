"""torch's function transforms and compilers see an ordinary function."""

import pytest
import torch
from torch import Tensor, nn

from atmnet.ops import sample_along
from tests.ops.oracle import offsets


def inputs(dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    x = torch.randn(3, 5, 4, 6, dtype=dtype)
    return x, offsets(3, 5, 4, 2, dtype=dtype)


@pytest.mark.parametrize("in_dims", [(0, 0), (0, None), (None, 0), (2, 1)], ids=str)
def test_vmap(in_dims, backend):
    x, offset = inputs()
    moved = [
        torch.stack([t, t + 0.05], dim) if dim is not None else t for t, dim in zip((x, offset), in_dims, strict=True)
    ]
    out = torch.vmap(lambda x, offset: sample_along(x, offset, -3, backend), in_dims)(*moved)
    for i in range(2):
        args = [t if dim is None else t.select(dim, i) for t, dim in zip(moved, in_dims, strict=True)]
        torch.testing.assert_close(out[i], sample_along(*args, -3, backend))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is")  # torch's own jvp rules call it
def test_jvp_agrees_with_backward():
    x, offset = inputs()
    tangents = torch.randn_like(x), torch.randn_like(offset)
    upstream = torch.randn_like(x)
    function = lambda x, offset: sample_along(x, offset, 1)  # noqa: E731
    forward = torch.func.jvp(function, (x, offset), tangents)[1]
    backward = torch.func.vjp(function, x, offset)[1](upstream)
    products = [(g * t).sum() for g, t in zip(backward, tangents, strict=True)]
    torch.testing.assert_close((forward * upstream).sum(), sum(products))


class Sampler(nn.Module):
    """Both axes of an image, as a network uses the operator: the offsets are strided slices."""

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        return sample_along(x, offset[..., :1], -2) + sample_along(x, offset[..., 1:], -3)


def test_compile():
    """With inductor, `test_opcheck` compiles the operator."""
    torch.compiler.reset()
    compiled = torch.compile(Sampler(), backend="aot_eager", fullgraph=True, dynamic=True)
    for size in (3, 2):
        runs = []
        for function in (Sampler(), compiled):
            x, offset = (t[:size].detach().requires_grad_() for t in inputs(torch.float32, seed=size))
            out = function(x, offset)
            runs.append((out, *torch.autograd.grad(out.square().sum(), (x, offset))))
        torch.testing.assert_close(runs[0], runs[1])


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is")
def test_torchscript():
    x, offset = inputs()
    scripted = torch.jit.script(Sampler())
    assert scripted(x, offset).equal(Sampler()(x, offset))


def test_export_with_every_size_dynamic():
    x, offset = inputs()
    batch, height, width = (torch.export.Dim(name, min=2) for name in ("batch", "height", "width"))
    dynamic = {0: batch, 1: height, 2: width}
    program = torch.export.export(Sampler(), (x, offset), dynamic_shapes=(dynamic, dynamic))
    x, offset = torch.randn(2, 7, 9, 6, dtype=torch.float64), offsets(2, 7, 9, 2)
    torch.testing.assert_close(program.module()(x, offset), Sampler()(x, offset))


def test_autocast_leaves_it_alone():
    x, offset = inputs(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = sample_along(x, offset, 1)
        half = sample_along(x.bfloat16(), offset, 1)
    assert out.equal(sample_along(x, offset, 1))
    assert half.dtype == torch.bfloat16
