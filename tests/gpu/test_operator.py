"""The triton kernels as an operator of torch: what torch checks, compilation, CUDA graphs, equal bits under load."""

import pytest
import torch
from torch import Tensor

from atmnet.ops import available_backends, sample_branches
from tests.golden import relative_error

BRAIN, HALF, FLOAT, WIDE = torch.bfloat16, torch.float16, torch.float32, torch.float64


def inputs(shape: tuple[int, ...], share: int, dtype: torch.dtype = FLOAT) -> tuple[Tensor, Tensor]:
    """Tokens, and offsets of about 3 tokens along both axes, in float32 at least."""
    x = torch.randn(shape, device="cuda").to(dtype)
    offset = 3 * torch.randn(
        *shape[:-1], 2 * shape[-1] // share, device="cuda", dtype=torch.promote_types(dtype, FLOAT)
    )
    return x.requires_grad_(), offset.requires_grad_()


def outputs_and_gradients(function, x: Tensor, offset: Tensor) -> list[Tensor]:
    out = function(x, offset)
    return [out.detach(), *torch.autograd.grad(out.square().sum(), (x, offset))]


def test_triton_is_the_default():
    assert available_backends(torch.empty(1, device="cuda")) == ["triton", "reference"]


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # caused by opcheck itself
@pytest.mark.parametrize("dtype", [WIDE, FLOAT, HALF, BRAIN], ids=str)
def test_opcheck(dtype):
    x, offset = inputs((2, 5, 3, 6), 2, dtype)
    dims = [-2, -3]
    torch.library.opcheck(torch.ops.atmnet.triton.default, (x, offset, dims, True))
    upstream = torch.randn(2, 5, 3, 3, 6, device="cuda").to(dtype)
    torch.library.opcheck(torch.ops.atmnet.triton_backward.default, (upstream, x, offset, dims))


@pytest.mark.parametrize(("dtype", "bound"), [(WIDE, 1e-12), (FLOAT, 1e-5), (BRAIN, 2e-2)], ids=str)
def test_compiled_for_any_size(dtype, bound):
    def function(x: Tensor, offset: Tensor) -> Tensor:
        return sample_branches(2 * x, offset.sin() * 3, 2).to(x.dtype if x.dtype == WIDE else FLOAT).square()

    compiled = torch.compile(function, fullgraph=True, dynamic=True)
    for shape in ((2, 5, 7, 6), (3, 4, 5, 6), (2, 7, 3, 12)):
        args = inputs(shape, 2, dtype)
        both = outputs_and_gradients(compiled, *args), outputs_and_gradients(function, *args)
        for ours, theirs in zip(*both, strict=True):
            assert relative_error(ours, theirs) < bound


def test_in_a_cuda_graph():
    x, offset = (tensor.detach() for tensor in inputs((2, 14, 14, 64), 4))
    sample_branches(x, offset, 2)  # tiles are chosen by timing at the first call, which a capture does not allow
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = sample_branches(x, offset, 2)
    x.normal_()
    offset.normal_(std=3)
    graph.replay()
    assert captured.equal(sample_branches(x, offset, 2))


@pytest.mark.parametrize("dtype", [FLOAT, BRAIN], ids=str)
@pytest.mark.parametrize(("shape", "share"), [((16, 56, 56, 64), 2), ((64, 14, 14, 320), 4), ((1, 200, 200, 64), 2)])
def test_equal_bits_under_load(shape, share, dtype):
    """Whether the barriers of the walk suffice: 200 backward passes beside matrix products on another stream."""
    x, offset = inputs(shape, share, dtype)
    first = outputs_and_gradients(lambda *args: sample_branches(*args, 2), x, offset)
    reference = outputs_and_gradients(lambda *args: sample_branches(*args, 2, "reference"), x, offset)
    for ours, theirs in zip(first, reference, strict=True):
        assert relative_error(ours, theirs) < (1e-5 if dtype == FLOAT else 2e-2)
    matrix, side = torch.randn(4096, 4096, device="cuda"), torch.cuda.Stream()
    for i in range(200):
        if i % 4 == 0:
            with torch.cuda.stream(side):
                matrix @ matrix
        for again, ours in zip(outputs_and_gradients(lambda *a: sample_branches(*a, 2), x, offset), first, strict=True):
            assert again.equal(ours), f"pass {i}"
