"""No kernel touches memory outside its tensors: here that ends the process. Run by `test_triton`, interpreted only.

On a GPU, compute-sanitizer says the same of `triton_cases`.
"""

import ctypes
import mmap

import pytest
import torch
from torch import Tensor

from atmnet.ops import _triton
from tests.ops.triton_cases import CASES, INTERPRETED, inputs

pytestmark = pytest.mark.skipif(not INTERPRETED, reason="guards memory of the CPU")


def guarded(tensor: Tensor, at_end: bool) -> Tensor:
    """A copy whose last (or first) byte borders on a page that nobody may touch."""
    size = -(-tensor.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, size + 2 * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (start, start + mmap.PAGESIZE + size):
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(page), mmap.PAGESIZE, 0) == 0
    first = mmap.PAGESIZE + (size - tensor.nbytes if at_end else 0)
    copy = torch.frombuffer(memory, dtype=tensor.dtype, count=tensor.numel(), offset=first)
    return copy.view(tensor.shape).copy_(tensor)


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("case", CASES[1:4], ids=str)
def test_nothing_outside_is_touched(case, at_end, monkeypatch):
    x, offset, grad = (guarded(tensor, at_end) for tensor in inputs(*case, reach=9.0))
    plain = Tensor.new_empty

    def new_empty(self, *size, **options):
        fresh = plain(self, *size, **options)
        return guarded(fresh, at_end) if fresh.numel() else fresh

    monkeypatch.setattr(Tensor, "new_empty", new_empty)
    _triton.sample(x, offset, *case[2:])
    _triton.sample_backward(grad, x, offset, case[2])
