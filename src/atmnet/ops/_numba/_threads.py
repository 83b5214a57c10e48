"""Runs a kernel on the threads that torch computes with.

Kernels take their work in chunks from a shared counter, so it matters neither how many threads there are nor when each
of them starts.
"""

import ctypes
import os
import threading
from functools import cache
from pathlib import Path

import torch

_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_PROCESS = os.getpid()
_GRAIN = 16384  # elements below which another thread costs more than it brings


def run(kernel: int, arguments: list[int], elements: int) -> None:
    """Call the kernel at an address, on as many threads as torch uses and a work of so many elements is worth."""
    threads = min(torch.get_num_threads(), max(1, elements // _GRAIN))
    array = (ctypes.c_int64 * (len(arguments) + 1))(0, *arguments)
    address = ctypes.addressof(array)
    if threads == 1 or os.getpid() != _PROCESS:  # the threads of a process do not survive a fork
        _KERNEL(kernel)(address)
    elif (team := _openmp()) is not None:
        team(kernel, address, threads, 0)
    else:
        helpers = [threading.Thread(target=_KERNEL(kernel), args=(address,)) for _ in range(threads - 1)]
        for helper in helpers:
            helper.start()
        _KERNEL(kernel)(address)
        for helper in helpers:
            helper.join()


@cache
def _openmp():
    """The OpenMP runtime's entry for a team of threads, of the very runtime that torch uses.

    A second pool of threads would fight with torch's, whose idle threads spin for milliseconds after each operation.
    """
    folder = Path(torch.__file__).parent / "lib"
    for name in ("libtorch_cpu.so", "libtorch.so"):
        try:
            enter = ctypes.CDLL(str(folder / name)).GOMP_parallel
        except (OSError, AttributeError):
            continue
        enter.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        enter.restype = None
        return enter
    return None
