"""Random cases under numba's bounds checking. Not collected by itself: `test_numba_bounds` runs it in a process of its
own, since the checks are chosen before the kernels are first compiled.

All numbers are multiples of 2^-16 and small, so arithmetic is exact, and equal means equal, in every order of sums: to
the reference in float64, rounded once.
"""

import os
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numba import njit
from torch import Tensor

from atmnet.ops import _numba
from atmnet.ops._numba import _kernels
from tests.ops.numerics import BRAIN, FLOAT, HALF, INF, NAN, TYPES, WIDE, Case, exact, run

LONG = os.environ.get("ATMNET_TEST_LONG") == "1"
# Channels that share an offset, dtypes of x and offset. Each combination takes a second to compile, or two.
KERNELS = [(2, FLOAT, FLOAT), (2, BRAIN, FLOAT), (3, HALF, HALF)]
if LONG:
    KERNELS = [(share, *types) for share in (1, 2, 3, 4, 17) for types in [*TYPES, (FLOAT, HALF), (FLOAT, BRAIN)]]
ODD = torch.tensor([NAN, INF, -INF, 1e30, -1e30, 3e9, -3e9, -0.0, 0.0, 2.0**31, -(2.0**31), 2.0**63, -(2.0**63)])

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_BOUNDSCHECK") != "1", reason="needs NUMBA_BOUNDSCHECK=1")


@pytest.fixture(scope="module")
def reports():
    """What kernels raised: they cannot raise into their caller."""
    seen: list[str] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda report: seen.append(repr(report.exc_value))
    yield seen
    sys.unraisablehook = before


def numbers(case: Case, kind: str, reach: float) -> tuple[Tensor, Tensor, Tensor]:
    """x, offset and upstream gradient of a case, some of them odd."""
    x, offset, upstream = (tensor.double() for tensor in case.inputs())
    x, upstream = (torch.randint(-4, 5, tensor.shape).to(WIDE) for tensor in (x, upstream))
    offset = (2**16 * reach * (2 * torch.rand_like(offset) - 1)).round() / 2**16
    if kind in ("whole", "hairs"):
        offset = offset.round() + (kind == "hairs") * 2.0**-16 * torch.randn_like(offset).sign()
    offset = torch.where(torch.rand(offset.shape) < 0.1, ODD[torch.randint(len(ODD), offset.shape)], offset)
    if kind == "odd tokens":
        x = torch.where(torch.rand(x.shape) < 0.1, torch.tensor([NAN, INF, -INF])[torch.randint(3, x.shape)], x)
    return x, offset, upstream


def view(tensor: Tensor, layout: str) -> Tensor:
    """The same shape, strided otherwise."""
    last = tensor.size(-1)
    if layout == "slice":
        return torch.cat([tensor, tensor, tensor], -1)[..., last : 2 * last]
    if layout == "every second":
        return tensor.repeat_interleave(2, -1)[..., ::2]
    if layout == "turned":
        return tensor.movedim(-1, 0).contiguous().movedim(0, -1)
    if layout == "tokens turned":
        return tensor.movedim(0, -2).contiguous().movedim(-2, 0)
    if layout == "one for all" and tensor.numel():
        return tensor[:1].expand_as(tensor)
    return tensor


LAYOUTS = ["packed", "slice", "every second", "turned", "tokens turned", "one for all"]


@st.composite
def cases(draw) -> tuple[Case, torch.dtype, torch.dtype]:
    share, dtype, offset_dtype = draw(st.sampled_from(KERNELS))
    groups = draw(st.sampled_from([1, 2, 3, 5, 65]))
    sizes = draw(st.lists(st.integers(0, 9), min_size=1, max_size=3))
    batch = draw(st.integers(0, 3))
    shape = (batch, *sizes, share * groups)
    if draw(st.booleans()):
        return Case(shape, share, axes=len(sizes)), dtype, offset_dtype
    return Case(shape, share, dim=draw(st.integers(0, len(sizes)))), dtype, offset_dtype


@settings(
    max_examples=10_000 if LONG else 300,
    deadline=None,
    database=None,
    derandomize=not LONG,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    drawn=cases(),
    kind=st.sampled_from(["any", "whole", "hairs", "odd tokens"]),
    reach=st.sampled_from([0.25, 3.0, 12.0]),
    layouts=st.tuples(*[st.sampled_from(LAYOUTS)] * 3),
    seed=st.integers(0, 2**32),
)
def test_no_access_outside_and_the_right_numbers(reports, drawn, kind, reach, layouts, seed):
    case, dtype, offset_dtype = drawn
    torch.manual_seed(seed)
    x, offset, upstream = numbers(case, kind, reach)
    x, offset, upstream = x.to(dtype), offset.to(offset_dtype), upstream.to(dtype)
    x, offset, upstream = (view(t, layout) for t, layout in zip((x, offset, upstream), layouts, strict=True))
    ours, right = run(case, "numba", x, offset, upstream), exact(case, x, offset, upstream)
    assert not reports
    for name, mine, other in zip(ours._fields, ours, right, strict=True):
        assert mine.shape == other.shape, name
        assert mine.allclose(other.to(mine.dtype), rtol=0, atol=0, equal_nan=True), name


@pytest.mark.parametrize("backward", [False, True])
def test_the_checks_find_arrays_that_are_too_short(reports, backward, monkeypatch):
    assert not reports
    array = _kernels.array
    monkeypatch.setattr(_kernels, "array", njit(lambda address, size, stored: array(address, size - 1, stored)))
    case = Case((2, 5, 3, 10), 5, dim=1)  # with kernels that nobody else needs
    x, offset, upstream = case.inputs(reach=0.0)  # every token reads itself
    if backward:
        _numba.sample_backward(upstream.unsqueeze(-2), x, offset, [1 - 4])
    else:
        _numba.sample(x, offset, [1 - 4], False)
    assert set(reports) == {"IndexError('index is out of bounds')"}
    reports.clear()
