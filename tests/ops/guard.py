"""Memory that borders on pages that nobody may touch: any access outside ends the process."""

import ctypes
import mmap

import torch
from torch import Tensor


def guarded(tensor: Tensor, at_end: bool) -> Tensor:
    """A copy whose last (or first) byte borders on a page that nobody may touch."""
    if tensor.numel() == 0:
        return tensor
    size = -(-tensor.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, size + 2 * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (start, start + mmap.PAGESIZE + size):
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(page), mmap.PAGESIZE, 0) == 0
    first = mmap.PAGESIZE + (size - tensor.nbytes if at_end else 0)
    copy = torch.frombuffer(memory, dtype=tensor.dtype, count=tensor.numel(), offset=first)
    return copy.view(tensor.shape).copy_(tensor)
