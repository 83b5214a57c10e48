"""The triton kernels against the reference: on the GPU where there is one, else under triton's interpreter.

Not collected by itself: the interpreter must be chosen before triton is first imported, so `test_triton` runs this file
in a process of its own. The interpreter cuts bfloat16 results off where a GPU rounds them: only there, and only for
that type, samples are not asked for the reference's very bits, but held to its error and one unit, like the gradients.
"""

import math
import os

import pytest
import torch
from torch import Tensor

from atmnet.ops import _triton
from atmnet.ops._reference import sample_reference
from atmnet.ops._triton import _launch, _tuning

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
NAN, INF = math.nan, math.inf
WIDE, FLOAT, HALF, BRAIN = torch.float64, torch.float32, torch.float16, torch.bfloat16

# Shape of x, channels that share an offset, axes, identity. One to three token axes, S of 1, 2, 3, 4, 8, lengths of 1.
CASES = [
    ((7, 3), 1, [-2], True),
    ((2, 11, 6), 2, [-2], False),
    ((1, 5, 7, 6), 3, [-2, -3], True),
    ((2, 3, 5, 12), 4, [-3], False),
    ((2, 3, 2, 24), 8, [-3, -2], False),
    ((1, 2, 3, 5, 4), 2, [-2, -3, -4], True),
    ((3, 1, 1, 5), 1, [-2, -3], True),
]
TYPES = [(FLOAT, FLOAT), (BRAIN, FLOAT), (HALF, FLOAT), (BRAIN, BRAIN), (HALF, HALF), (WIDE, WIDE), (WIDE, FLOAT)]
TYPES += [(FLOAT, WIDE), (HALF, WIDE), (FLOAT, BRAIN)]
IMAGE = ((1, 3, 5, 6), 3, [-2, -3], True)

Results = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(autouse=True)
def _fresh_memory_is_nan(monkeypatch):
    """Whatever a kernel leaves unwritten shows as NaN; whatever it writes outside shows in the margins."""
    buffers, plain = [], Tensor.new_empty

    def new_empty(self, *size, dtype=None, **options):
        if options:  # asked by the interpreter, not by us
            return plain(self, *size, **options)
        shape = torch.Size(size[0] if isinstance(size[0], torch.Size) else size)
        buffers.append(self.new_full([shape.numel() + 128], NAN, dtype=dtype))
        return buffers[-1][64:-64].view(shape)

    monkeypatch.setattr(Tensor, "new_empty", new_empty)
    yield
    for buffer in buffers:
        assert buffer[:64].isnan().all()
        assert buffer[-64:].isnan().all()


def inputs(shape, share, dims, identity, dtype=FLOAT, offset_dtype=FLOAT, reach=3.0) -> tuple[Tensor, Tensor, Tensor]:
    """x, offset, and the gradient of the output."""
    groups, branches = shape[-1] // share * len(dims), len(dims) + identity
    x, grad = torch.randn(shape), torch.randn(*shape[:-1], branches, shape[-1])
    offset = reach * torch.randn(*shape[:-1], groups)
    return x.to(DEVICE, dtype), offset.to(DEVICE, offset_dtype), grad.to(DEVICE, dtype)


def kernels(x: Tensor, offset: Tensor, grad: Tensor, dims: list[int], identity: bool) -> Results:
    return _triton.sample(x, offset, dims, identity), *_triton.sample_backward(grad, x, offset, dims)


def reference(x: Tensor, offset: Tensor, grad: Tensor, dims: list[int], identity: bool) -> Results:
    x, offset = x.detach().requires_grad_(), offset.detach().requires_grad_()
    out = sample_reference(x, offset, dims, identity)
    grad_x, grad_offset = torch.autograd.grad(out, (x, offset), grad)
    return out.detach(), grad_x, grad_offset


def spacing(exact: Tensor, dtype: torch.dtype) -> Tensor:
    """From a number to the next larger one of a type."""
    info = torch.finfo(dtype)
    return info.eps * torch.exp2(exact.abs().clamp(min=info.smallest_normal).log2().floor())


def check(ours: Results, theirs: Results, exact: Results) -> None:
    """Each result by itself: at most twice the reference's error in the same types, plus one unit in the last place."""
    for mine, same, right in zip(ours, theirs, exact, strict=True):
        assert mine.dtype == same.dtype
        assert mine.shape == same.shape
        assert mine.is_contiguous()
        allowed = 2 * (same.double() - right).abs().max() + spacing(right.abs().max(), mine.dtype)
        assert (mine.double() - right).abs().max() <= allowed


def compare(x: Tensor, offset: Tensor, grad: Tensor, dims: list[int], identity: bool) -> None:
    ours, theirs = (function(x, offset, grad, dims, identity) for function in (kernels, reference))
    check(ours, theirs, reference(x.double(), offset.double(), grad.double(), dims, identity))
    if not (INTERPRETED and x.dtype == BRAIN):
        assert ours[0].equal(theirs[0])  # the same roundings, so the same bits


def test_it_can_run():
    assert _triton.unavailable_reason(torch.device(DEVICE), FLOAT) is None


@pytest.mark.parametrize("case", CASES, ids=str)
def test_shapes(case):
    compare(*inputs(*case), *case[2:])


@pytest.mark.parametrize("types", TYPES, ids=str)
def test_types(types):
    compare(*inputs((1, 5, 3, 6), 2, [-2, -3], True, *types), [-2, -3], True)


@pytest.mark.parametrize("reach", [0.0, 0.3, 30.0])
def test_reach(reach):
    compare(*inputs(*IMAGE, reach=reach), *IMAGE[2:])


def test_positions_of_half_precision_offsets_are_not_rounded():
    x = torch.zeros(1002, 1, dtype=BRAIN, device=DEVICE)
    offset = torch.full_like(x, 0.125)
    x[1001] = 1
    assert _triton.sample(x, offset, [-2], False)[1000].item() == 0.125


def test_whole_positions_and_the_border():
    # Positions from -3 to L + 2 in quarters: right-hand differences at whole ones, and what clamping lets through.
    x, grad = torch.randn(7, 4, device=DEVICE), torch.randn(7, 4, 2, device=DEVICE)
    here = torch.arange(7).view(7, 1)
    for part in torch.arange(-3, 9.25, 0.25).split(4):
        offset = torch.nn.functional.pad(part, (0, 4 - len(part))) - here
        compare(x.view(7, 4), offset.to(DEVICE), grad.mT.contiguous(), [-2], True)


def test_all_outside_is_zero():
    """Each token and share group looks at one of these places."""
    x, offset, grad = inputs(*IMAGE)
    x[0, 0, 0, 0], x[0, -1, -1, -1] = INF, NAN
    far = torch.tensor([INF, -INF, 1e30, -1e30, 3e9, -3e9, 8.0, -9.0], device=DEVICE)
    offset = far[torch.arange(offset.numel(), device=DEVICE).view(offset.shape) % 8]
    out, grad_x, grad_offset = kernels(x, offset, grad, *IMAGE[2:])
    assert not out[..., :2, :].any()
    assert not grad_offset.any()
    assert grad_x.equal(grad[..., 2, :])


def test_odd_offsets_stay_where_they_are():
    x, offset, grad = inputs(*IMAGE)
    offset[0, 2, 3, 0] = offset[0, 2, 4, 3] = offset[0, 0, 0, 1] = NAN
    offset[0, 1, 3, 0] = offset[0, 0, 0, 0] = offset[0, 2, 4, 1] = INF
    offset[0, 1, 2, 2], offset[0, 1, 4, 1], offset[0, 2, 0, 0] = -INF, 1e30, -1e30
    ours, theirs = kernels(x, offset, grad, *IMAGE[2:]), reference(x, offset, grad, *IMAGE[2:])
    for mine, same in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, same, equal_nan=True)
    assert ours[0].isnan().sum() == 9
    assert not ours[1].isnan().any()


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # numpy's, of inf - inf
@pytest.mark.parametrize("odd", [NAN, INF])
def test_odd_tokens_do_not_leak(odd):
    x, offset, grad = inputs(*IMAGE, reach=9.0)
    x[0, 0], x[0, :, -1] = odd, odd
    for mine, same in zip(kernels(x, offset, grad, *IMAGE[2:]), reference(x, offset, grad, *IMAGE[2:]), strict=True):
        torch.testing.assert_close(mine, same, equal_nan=True)


@pytest.mark.parametrize("shape", [(0, 5, 3, 4), (2, 0, 3, 4), (2, 5, 0, 4), (2, 5, 3, 0)])
def test_empty(shape):
    x, offset = torch.randn(shape, device=DEVICE), torch.randn(*shape[:-1], 4, device=DEVICE)
    out = _triton.sample(x, offset, [-2, -3], True)
    assert out.shape == (*shape[:-1], 3, shape[-1])
    grad_x, grad_offset = _triton.sample_backward(out, x, offset, [-2, -3])
    assert grad_x.equal(torch.zeros_like(x))
    assert grad_offset.equal(torch.zeros_like(offset))


def strided(tensor: Tensor) -> list[Tensor]:
    """The same values, laid out otherwise: a slice of wider rows, every other column, another order of axes."""
    wide = torch.full((*tensor.shape[:-1], 2 * tensor.size(-1)), NAN, dtype=tensor.dtype, device=tensor.device)
    sliced, sparse = wide.clone()[..., : tensor.size(-1)], wide.clone()[..., ::2]
    turned = tensor.movedim(-1, 1).contiguous().movedim(1, -1)
    return [sliced.copy_(tensor), sparse.copy_(tensor), turned]


def test_strides_do_not_matter():
    """Each argument in each layout, while the others are laid out in other ways."""
    args = inputs((1, 3, 5, 6), 2, [-2, -3], True)
    expected = kernels(*args, [-2, -3], True)
    for turn in range(3):
        views = [strided(tensor)[(turn + i) % 3] for i, tensor in enumerate(args)]
        assert not any(view.is_contiguous() for view in views)
        for mine, same in zip(kernels(*views, [-2, -3], True), expected, strict=True):
            assert mine.equal(same)


def test_gradient_of_a_sum():
    x, offset, grad = inputs(*IMAGE)
    ones = torch.ones((), device=DEVICE).expand_as(grad)  # what autograd hands down: no strides at all
    expected = _triton.sample_backward(ones.contiguous(), x, offset, IMAGE[2])
    for mine, same in zip(_triton.sample_backward(ones, x, offset, IMAGE[2]), expected, strict=True):
        assert mine.equal(same)


def test_inputs_stay_as_they_are():
    args = inputs(*IMAGE)
    before = [tensor.clone() for tensor in args]
    kernels(*args, *IMAGE[2:])
    assert all(tensor.equal(old) for tensor, old in zip(args, before, strict=True))


@pytest.mark.parametrize("dtype", [FLOAT, HALF])
def test_the_same_bits_twice_and_with_every_tile(dtype, monkeypatch):
    args, options = inputs((1, 3, 4, 16), 8, [-2, -3], True, dtype), ([-2, -3], True)
    expected = kernels(*args, *options)
    for tile in [(1, 1, 4), (1, 1, 4), (2, 2, 8), (1, 4, 32), (4, 8, 16)]:
        for tiles in ("_SAMPLE", "_GRADIENT", "_INTERPRETED"):
            monkeypatch.setattr(_tuning, tiles, [tile])
        _tuning.sample_kernel_for.cache_clear()
        _tuning.gradient_kernel_for.cache_clear()
        for mine, same in zip(kernels(*args, *options), expected, strict=True):
            assert mine.equal(same)
    _tuning.sample_kernel_for.cache_clear()
    _tuning.gradient_kernel_for.cache_clear()


def test_wide_addresses(monkeypatch):
    import triton.language as tl

    x, offset, grad = inputs(*IMAGE)
    expected = kernels(x, offset, grad, *IMAGE[2:])
    chosen = _launch._constants
    monkeypatch.setattr(_launch, "_constants", lambda *args: {**chosen(*args), "INDEX": tl.int64})
    for mine, same in zip(kernels(x, offset, grad, *IMAGE[2:]), expected, strict=True):
        assert mine.equal(same)


@pytest.mark.parametrize(("step", "index"), [(2**30 - 1, "int32"), (2**30, "int64")])
def test_wide_addresses_are_chosen_by_reach(step, index):
    x = torch.empty(3, 4, device="meta")
    rows = torch.empty_strided((3, 1), (step, 1), device="meta")
    assert str(_launch._constants(x, x, 2, [0], [x, rows])["INDEX"]) == index


@pytest.mark.skipif(INTERPRETED, reason="needs a GPU")
def test_more_than_two_to_the_31_elements():
    x = torch.zeros(2**18 + 1, 8, 1024, dtype=HALF, device=DEVICE)
    offset = torch.randn(*x.shape[:-1], 1, device=DEVICE)
    x[-1].normal_()
    results = kernels(x, offset, x.unsqueeze(-2), [-2], False)
    last = x[-1:], offset[-1:], x[-1:].unsqueeze(-2)
    expected = reference(*last, [-2], False)
    exact = reference(*(tensor.double() for tensor in last), [-2], False)
    check(tuple(result[-1:] for result in results), expected, exact)
