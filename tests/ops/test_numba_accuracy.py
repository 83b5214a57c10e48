"""The CPU kernels are as accurate as the reference, whatever the shape, dtype, stride, offset and number of threads."""

import math

import pytest
import torch
from torch import Tensor

from atmnet.ops import available_backends
from atmnet.ops._numba import _threads
from tests.ops.numerics import BRAIN, FLOAT, HALF, INF, NAN, TYPES, WIDE, Case, no_worse, run, same_bits

pytestmark = pytest.mark.skipif("numba" not in available_backends(torch.empty(1)), reason="needs numba")

IMAGE = Case((2, 7, 11, 12), share=2, axes=2)
LINE = Case((3, 13, 6), share=2, dim=1)


@pytest.fixture(autouse=True)
def _fresh_memory_is_nan(monkeypatch):
    """Whatever the kernels leave unwritten shows as NaN; whatever they write beside it shows in the margins."""
    buffers = []

    def new_empty(self: Tensor, *size, dtype: torch.dtype | None = None) -> Tensor:
        shape = torch.Size(size[0] if isinstance(size[0], torch.Size) else size)
        buffers.append(self.new_full([shape.numel() + 128], NAN, dtype=dtype))
        return buffers[-1][64:-64].view(shape)

    monkeypatch.setattr(Tensor, "new_empty", new_empty)
    yield
    assert buffers
    for buffer in buffers:
        assert buffer[:64].isnan().all()
        assert buffer[-64:].isnan().all()


# Each share has kernels of its own for each pair of dtypes, which take a second to compile: not all are tried.
@pytest.mark.parametrize(
    ("dtype", "share"),
    [*((FLOAT, share) for share in (1, 2, 3, 4, 8, 17, 32)), *((BRAIN, share) for share in (1, 2, 32))],
    ids=str,
)
def test_share_groups(dtype, share):
    for case in (Case((2, 7, 5, 3 * share), share, axes=2), Case((2, 5, 7, share), share, dim=1)):
        no_worse(case, *case.inputs(dtype))


def test_sums_over_many_channels():
    case = Case((2, 13, 11, 3 * 129), 129, dim=1)
    for _ in range(5):
        no_worse(case, *case.inputs())


@pytest.mark.parametrize(
    ("case", "types"),
    [
        *((IMAGE, types) for types in TYPES),
        *((Case((2, 11, 7, 9), 3, dim=1), (dtype, dtype)) for dtype in (HALF, WIDE)),
    ],
    ids=str,
)
def test_dtypes(case, types):
    for reach in (0.3, 4.0, 40.0):
        no_worse(case, *case.inputs(*types, reach=reach))


@pytest.mark.parametrize(
    "case",
    [
        Case((13, 6), 2, dim=0),
        Case((2, 13, 6), 2, axes=1),
        Case((2, 5, 3, 4), 4, dim=-4),
        Case((2, 31, 37, 6), 2, dim=-3),
        Case((2, 31, 37, 6), 2, dim=-2),
        Case((1, 1, 101, 2), 1, axes=2),
        Case((1, 101, 1, 2), 1, axes=2),
        Case((2, 3, 5, 7, 8), 4, axes=3),
        Case((2, 3, 5, 7, 8), 2, dim=1),
        Case((2, 3, 5, 7, 8), 1, dim=-3),
        Case((3, 1, 1, 1, 6), 2, axes=3),
        # Blocks of 64 groups, a last one of 3, and one of a single group ...
        Case((2, 7, 3, 67), 1, axes=2),
        Case((2, 7, 3, 258), 2, axes=2),
        # ... and in the backward pass, which shares groups out where lines are few, by lines alone and by groups alone.
        Case((2, 5, 40, 67), 1, dim=1),
        Case((1, 13, 2, 258), 2, dim=1),
        Case((1, 13, 262), 2, dim=1),
    ],
    ids=str,
)
def test_shapes(case):
    no_worse(case, *case.inputs())


@pytest.mark.parametrize("types", [(WIDE, WIDE), (FLOAT, FLOAT), (BRAIN, FLOAT), (HALF, HALF)], ids=str)
class TestOddNumbers:
    @pytest.mark.parametrize("far", [INF, -INF, 1e30, -1e30, 14.0, -15.0])
    def test_all_outside(self, far, types):
        x, offset, upstream = IMAGE.inputs(*types)
        ours = run(IMAGE, "numba", x, torch.tensor(far).to(offset.dtype).expand_as(offset), upstream)
        assert not ours.out[..., :2, :].any()
        assert ours.out[..., 2, :].equal(x)
        assert ours.grad_x.equal(upstream[..., 2, :])
        assert not ours.grad_offset.any()

    @pytest.mark.parametrize("odd", [NAN, INF, -INF, 1e30, -1e30])
    def test_offsets(self, odd, types):
        x, offset, upstream = IMAGE.inputs(*types)
        offset = torch.where(torch.rand(offset.shape) < 0.1, torch.tensor(odd).to(offset.dtype), offset)
        no_worse(IMAGE, x, offset, upstream)

    @pytest.mark.parametrize("odd", [NAN, INF, -INF])
    def test_tokens(self, odd, types):
        """At the border, where one tap or both are skipped, and within."""
        x, offset, upstream = IMAGE.inputs(*types)
        x[:, 0], x[:, :, -1, ::3], x[0, 4, 4] = odd, odd, odd
        no_worse(IMAGE, x, offset, upstream)

    def test_positions_in_sixteenths(self, types):
        """From -3 to L + 2: what clamping lets through, right-hand differences at whole positions."""
        position = torch.arange(-3 * 16, 9 * 16) / 16
        case = Case((len(position), 7, 2), 2, dim=1)
        x, _, upstream = case.inputs(*types)
        offset = position.view(-1, 1, 1) - torch.arange(7).view(7, 1)
        no_worse(case, x, offset.to(types[1]), upstream)


@pytest.mark.parametrize("shape", [(0, 5, 3, 4), (2, 0, 3, 4), (2, 5, 0, 4), (2, 5, 3, 0), (0, 0, 0, 4)])
def test_nothing_to_do(shape):
    for case in (Case(shape, 2, axes=2), Case(shape, 2, dim=1)):
        args = torch.randn(shape), torch.randn(*shape[:-1], 2 * case.axes), torch.randn(())
        ours, theirs = (
            run(case, name, *args[:2], args[2].expand(case.sample(*args[:2], name).shape))
            for name in ("numba", "reference")
        )
        same_bits(ours, theirs)


def test_a_single_token():
    case = Case((50, 1, 3), 3, dim=1)
    no_worse(case, *case.inputs(reach=1.0))


def layouts(tensor: Tensor) -> dict[str, Tensor]:
    """Views with other strides. Expanded ones have values of their own."""
    last = tensor.size(-1)
    wide = torch.full((*tensor.shape[:-1], 2 * last + 3), NAN, dtype=tensor.dtype)
    wide[..., 1 : last + 1] = tensor
    every_second = torch.full((*tensor.shape[:-1], 2 * last), NAN, dtype=tensor.dtype)
    every_second[..., ::2] = tensor
    odd = list(tensor.stride())
    odd[0] = 7  # of an axis of size 1: it must not count
    return {
        "a slice of the channels": wide[..., 1 : last + 1],
        "every second channel": every_second[..., ::2],
        "channels first": tensor.movedim(-1, 1).contiguous().movedim(1, -1),
        "transposed": tensor.transpose(1, 2).contiguous().transpose(1, 2),
        "every second row": torch.cat([tensor, tensor], 2)
        .unflatten(2, (2, -1))
        .transpose(2, 3)
        .flatten(2, 3)[:, :, ::2],
        "a stride for an axis of size 1": tensor[:1].as_strided((1, *tensor.shape[1:]), odd),
        "one image for all": tensor[:1].expand_as(tensor),
        "one row for all": tensor[:, :1].expand_as(tensor),
        "one channel for all": tensor[..., :1].expand_as(tensor),
        "one number for all": tensor.flatten()[0].expand_as(tensor),
    }


@pytest.mark.parametrize("layout", layouts(torch.empty(2, 2, 2, 2)))
@pytest.mark.parametrize("which", ["x", "offset", "upstream", "all"])
@pytest.mark.parametrize("dtype", [FLOAT, HALF], ids=str)
def test_strides(which, layout, dtype):
    case = Case((2, 5, 3, 8), 2, axes=2)
    args = list(case.inputs(dtype))
    for i, name in enumerate(("x", "offset", "upstream")):
        if which in (name, "all"):
            args[i] = layouts(args[i])[layout]
    args = [tensor[: min(len(t) for t in args)] for tensor in args]
    packed = [tensor.clone(memory_format=torch.contiguous_format) for tensor in args]
    same_bits(run(case, "numba", *args), run(case, "numba", *packed))
    no_worse(case, *args)


def test_inputs_stay_as_they_are():
    args = IMAGE.inputs()
    before = [tensor.clone() for tensor in args]
    run(IMAGE, "numba", *args)
    assert all(tensor.equal(old) for tensor, old in zip(args, before, strict=True))


@pytest.fixture
def _threads_for_any_work(monkeypatch):
    monkeypatch.setattr(_threads, "_GRAIN", 1)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads_for_any_work")
@pytest.mark.parametrize(
    "case", [IMAGE, LINE, Case((2, 31, 5, 258), 2, axes=2), Case((5, 3, 31, 6), 3, dim=1)], ids=str
)
@pytest.mark.parametrize("dtype", [FLOAT, BRAIN], ids=str)
def test_the_same_bits_with_any_number_of_threads(case, dtype):
    args = case.inputs(dtype)
    runs = []
    for threads in (1, 1, 2, 2, 5, 5, 1):
        torch.set_num_threads(threads)
        runs.append(run(case, "numba", *args))
    for again in runs[1:]:
        same_bits(again, runs[0])
    assert math.isfinite(runs[0].out.sum())
