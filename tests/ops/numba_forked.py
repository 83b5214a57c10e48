"""Kernels in processes that are forked after kernels, and torch, ran on two threads. Run by `test_numba_threads`.

A child that hangs is ended by its alarm.
"""

import multiprocessing
import os
import signal

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from atmnet.ops._numba import _threads
from tests.ops.numerics import Case, Run, run, same_bits

SECONDS = 60
# As much as is worth two threads to us, and still one to torch, which hangs in a child that computes on more.
CASE = Case((2, 32, 32, 16), 2, dim=1)
LARGE = Case((4, 32, 64, 16), 2, dim=1)
OTHER = Case((2, 5, 3, 8), 4, axes=2)  # its kernels are first wanted in the child

Inputs = tuple[Tensor, Tensor, Tensor]


class Sampled(Dataset):
    """As a data set may sample, to augment or to extract features; a loader's worker has one thread."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Run:
        signal.alarm(SECONDS)
        return run(LARGE, "numba", *self.inputs)


def in_the_child(inputs: Inputs, expected: Run, other: Inputs) -> None:
    signal.alarm(SECONDS)
    assert torch.get_num_threads() == 2
    same_bits(run(CASE, "numba", *inputs), expected)
    assert run(OTHER, "numba", *other).out.equal(run(OTHER, "reference", *other).out)


def main() -> None:
    torch.set_num_threads(2)
    inputs, large, other = CASE.inputs(), LARGE.inputs(), OTHER.inputs()
    assert CASE.sample(*inputs[:2], "numba").numel() == 2 * _threads._GRAIN
    expected, expected_large = run(CASE, "numba", *inputs), run(LARGE, "numba", *large)

    child = os.fork()
    if child == 0:
        in_the_child(inputs, expected, other)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    process = multiprocessing.get_context("fork").Process(target=in_the_child, args=(inputs, expected, other))
    process.start()
    process.join()
    assert process.exitcode == 0

    loader: DataLoader = DataLoader(Sampled(large), batch_size=None, num_workers=2, multiprocessing_context="fork")
    for item in loader:
        same_bits(item, expected_large)

    same_bits(run(CASE, "numba", *inputs), expected)  # and the parent goes on
