"""One run of a backend, forward and backward, and how far it may be from what is right."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from atmnet.ops import sample_along, sample_branches

NAN, INF = math.nan, math.inf
WIDE, FLOAT, HALF, BRAIN = torch.float64, torch.float32, torch.float16, torch.bfloat16

#: All pairs of dtypes of x and offset that make a difference.
TYPES = [(dtype, dtype) for dtype in (WIDE, FLOAT, BRAIN, HALF)]
TYPES += [(WIDE, FLOAT), (FLOAT, WIDE), *((half, offset) for half in (BRAIN, HALF) for offset in (FLOAT, WIDE))]


class Case(NamedTuple):
    """What is sampled: one axis of x by `sample_along`, or all ``axes`` and x itself by `sample_branches`."""

    shape: tuple[int, ...]
    share: int
    dim: int | None = None
    axes: int = 1

    def sample(self, x: Tensor, offset: Tensor, backend: str) -> Tensor:
        if self.dim is None:
            return sample_branches(x, offset, self.axes, backend)
        return sample_along(x, offset, self.dim, backend)

    def inputs(
        self, dtype: torch.dtype = FLOAT, offset_dtype: torch.dtype = FLOAT, reach: float = 4.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x, offset and the gradient of the output: normal, offsets with a spread of ``reach``.

        Nothing is wider than float64 to hold it to. So numbers that are computed with in float64 are multiples of
        2^-12: then sums and products are exact, whatever their order.
        """
        x = torch.randn(self.shape)
        offset = reach * torch.randn(*self.shape[:-1], self.axes * (self.shape[-1] // self.share))
        upstream = torch.randn(self.shape if self.dim is not None else (*x.shape[:-1], self.axes + 1, x.shape[-1]))
        if WIDE in (dtype, offset_dtype):
            x, offset, upstream = ((t * 2**12).round() / 2**12 for t in (x, offset, upstream))
        return x.to(dtype), offset.to(offset_dtype), upstream.to(dtype)


class Run(NamedTuple):
    out: Tensor
    grad_x: Tensor
    grad_offset: Tensor


def run(case: Case, backend: str, x: Tensor, offset: Tensor, upstream: Tensor) -> Run:
    """Output and gradients; the arguments keep their strides."""
    x, offset = x.detach().requires_grad_(), offset.detach().requires_grad_()
    out = case.sample(x, offset, backend)
    return Run(out.detach(), *torch.autograd.grad(out, (x, offset), upstream))


def exact(case: Case, x: Tensor, offset: Tensor, upstream: Tensor) -> Run:
    """The reference in float64, of the same rounded numbers."""
    return run(case, "reference", x.double(), offset.double(), upstream.double())


def same_bits(ours: Run, theirs: Run) -> None:
    """Equal, and NaN at the same places."""
    for name, mine, other in zip(Run._fields, ours, theirs, strict=True):
        assert mine.dtype == other.dtype, name
        assert mine.shape == other.shape, name
        assert mine.allclose(other, rtol=0, atol=0, equal_nan=True), name


def no_worse(case: Case, x: Tensor, offset: Tensor, upstream: Tensor) -> None:
    """Hold numba's output and each gradient, by itself, to twice the error of the reference plus one ulp.

    The errors are the largest ones against float64, of runs in the same dtypes; the ulp is that of the result's dtype
    at the largest result. Whatever is not finite must be the same number.
    """
    ours, same = (run(case, backend, x, offset, upstream) for backend in ("numba", "reference"))
    for name, mine, theirs, right in zip(Run._fields, ours, same, exact(case, x, offset, upstream), strict=True):
        assert mine.dtype == theirs.dtype, name
        assert mine.shape == theirs.shape, name
        finite = right.isfinite()
        assert mine[~finite].double().allclose(right[~finite], equal_nan=True), name
        if finite.any():
            error, allowed = ((result[finite] - right[finite]).abs().max() for result in (mine, theirs))
            assert error <= 2 * allowed + ulp(right[finite].abs().max().item(), mine.dtype), name


def ulp(number: float, dtype: torch.dtype) -> float:
    """The step from a number to the next larger one of a type."""
    info = torch.finfo(dtype)
    return info.eps * 2.0 ** math.floor(math.log2(max(abs(number), info.smallest_normal)))
