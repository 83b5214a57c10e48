"""Runs the kernels on memory that borders on pages that nobody may touch: any access outside ends the process.

`test_numba_bounds` runs ``main`` in a process of its own and reads what it prints once all went well: for each array of
each kernel, the exit status of a child in which the address of that array was one element off.
"""

import json
import os
import resource

import torch
from torch import Tensor

from atmnet.ops import _numba
from tests.ops.guard import guarded
from tests.ops.numerics import BRAIN, FLOAT, HALF, INF, NAN, WIDE, Case

CASES = [
    *((Case((13, 6), 2, dim=0), types) for types in [(FLOAT, FLOAT), (BRAIN, FLOAT), (HALF, FLOAT), (WIDE, WIDE)]),
    (Case((2, 5, 3, 4), 4, dim=1), (FLOAT, FLOAT)),
    (Case((2, 3, 7, 3), 1, dim=2), (BRAIN, FLOAT)),
    (Case((1, 7, 1, 51), 17, dim=1), (BRAIN, FLOAT)),
    (Case((1, 3, 2, 5, 24), 8, dim=1), (FLOAT, FLOAT)),
    (Case((1, 1, 1, 32), 32, dim=1), (BRAIN, FLOAT)),
    (Case((1, 2, 40, 67), 1, dim=1), (FLOAT, FLOAT)),
    (Case((2, 5, 7, 6), 2, axes=2), (FLOAT, FLOAT)),
    (Case((1, 2, 3, 4, 10), 2, axes=3), (BRAIN, FLOAT)),
]
# The arrays of a kernel, in the order in which it takes their addresses.
ARRAYS = {"forward": ["x", "offset", "out"], "backward": ["x", "offset", "upstream", "grad_x", "grad_offset"]}


def run_all(at_end: bool) -> None:
    for case, types in CASES:
        for reach in (0.0, 1.0, 20.0):
            x, offset, upstream = case.inputs(*types, reach=reach)
            odd = torch.tensor([NAN, INF, -INF, 1e30, -1e30, -0.0, 1.0, -1.0])[torch.randint(8, offset.shape)]
            offset = torch.where(torch.rand(offset.shape) < 0.2, odd.to(offset.dtype), offset)
            x, offset, upstream = (guarded(tensor, at_end) for tensor in (x, offset, upstream))
            dims = [-2 - k for k in range(case.axes)] if case.dim is None else [case.dim - x.dim()]
            _numba.sample(x, offset, dims, case.dim is None)
            _numba.sample_backward(upstream if case.dim is None else upstream.unsqueeze(-2), x, offset, dims)


def shift(kernel: str, name: str, by: int) -> None:
    """From now on this array of this kernel is said to start some elements later."""
    addresses, place = _numba._addresses, ARRAYS[kernel].index(name)

    def shifted(tensors):
        found = addresses(tensors)
        if len(tensors) == len(ARRAYS[kernel]):
            found[place] += by * tensors[place].element_size()
        return found

    _numba._addresses = shifted


def shifted_run(kernel: str, name: str, at_end: bool) -> int:
    """Exit status of a child that runs with a wrong address."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        shift(kernel, name, 1 if at_end else -1)
        run_all(at_end)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def guard_results(at_end: bool) -> None:
    """What kernels write to shall border on such pages too."""
    for name in ("new_empty", "new_zeros"):
        make = getattr(Tensor, name)
        setattr(Tensor, name, lambda *args, make=make, **options: guarded(make(*args, **options), at_end))


def main() -> None:
    ended = {}
    for at_end in (False, True):
        guard_results(at_end)
        run_all(at_end)
        for kernel, names in ARRAYS.items():
            for name in names:
                ended[f"{kernel} {name} {'end' if at_end else 'start'}"] = shifted_run(kernel, name, at_end)
    print(json.dumps(ended))
