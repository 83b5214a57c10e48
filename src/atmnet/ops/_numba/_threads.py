"""Runs a kernel on the threads that PyTorch computes with.

The threads of a kernel take chunks of the work from a shared counter, so the result does not depend on how many threads
there are or when each of them starts.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_PROCESS = os.getpid()
_GRAIN = 16384  # elements per thread below which another thread costs more time than it saves


def run(kernel: int, arguments: list[int], elements: int) -> None:
    """Call the kernel at the address ``kernel``, on as many threads as PyTorch uses or fewer if the work is small.

    Args:
        kernel: Address of a function that takes a pointer to 64-bit integers.
        arguments: The integers, which follow the counter at index 0.
        elements: Size of the work, from which the number of threads follows.
    """
    threads = min(torch.get_num_threads(), max(1, elements // _GRAIN))
    array = (ctypes.c_int64 * (len(arguments) + 1))(0, *arguments)
    address = ctypes.addressof(array)
    if threads == 1 or _is_forked():
        _KERNEL(kernel)(address)
    elif (parallel := _openmp_parallel()) is not None:
        parallel(kernel, address, threads, 0)
    else:
        helpers = [threading.Thread(target=_KERNEL(kernel), args=(address,)) for _ in range(threads - 1)]
        for helper in helpers:
            helper.start()
        _KERNEL(kernel)(address)
        for helper in helpers:
            helper.join()


def _is_forked() -> bool:
    """Whether this process was forked after PyTorch may have started threads, which do not survive that."""
    return os.getpid() != _PROCESS


@contextmanager
def existing_threads() -> Iterator[None]:
    """A context in which PyTorch's operations do not wait for threads that a forked process lacks."""
    if not _is_forked():
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def _openmp_parallel() -> Callable[..., object] | None:
    """The function of PyTorch's own OpenMP runtime that calls a function on a team of threads; None if not found.

    A second pool of threads would compete for the cores with PyTorch's, which spin for milliseconds after an operation.
    """
    folder = Path(torch.__file__).parent / "lib"
    for name in ("libtorch_cpu.so", "libtorch.so"):
        try:
            parallel = ctypes.CDLL(str(folder / name)).GOMP_parallel
        except (OSError, AttributeError):
            continue
        parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        parallel.restype = None
        return parallel
    return None
