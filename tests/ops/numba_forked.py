"""Kernels in processes that are forked after kernels, and torch, ran on two threads. Run by `test_numba_threads`.

A child that hangs is ended by its alarm.
"""

import multiprocessing
import os
import signal
import threading
import time

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from atmnet.ops._numba import _compile, _threads
from tests.ops.numerics import Case, Run, run, same_bits

SECONDS = 60
# As much as is worth two threads to us, and still one to torch, which hangs in a child that computes on more.
# What we call of torch must not: LARGE is worth two threads to it, too.
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


def in_the_child(jobs: list[tuple[Case, Inputs, Run]], other: Inputs) -> None:
    signal.alarm(SECONDS)
    results = [run(case, "numba", *inputs) for case, inputs, _ in jobs]
    assert run(OTHER, "numba", *other).out.equal(run(OTHER, "reference", *other).out)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)  # to compare them by torch
    for result, (_, _, expected) in zip(results, jobs, strict=True):
        same_bits(result, expected)


def fork_while_another_thread_compiles(inputs: Inputs) -> None:
    """The child gets a kernel whole; else it would wait for a thread that it has not."""
    kernel, has_begun = _compile.kernel, threading.Event()

    def slow_kernel(*key: str | int) -> _compile.Kernel:
        has_begun.set()
        time.sleep(0.5)
        return kernel(*key)

    _compile.kernel = slow_kernel  # type: ignore[assignment]
    thread = threading.Thread(target=run, args=(CASE, "numba", *inputs))
    thread.start()
    has_begun.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        run(CASE, "numba", *inputs)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join()
    _compile.kernel = kernel


def main() -> None:
    torch.set_num_threads(2)
    inputs, large, other = CASE.inputs(), LARGE.inputs(), OTHER.inputs()
    assert CASE.sample(*inputs[:2], "numba").numel() == 2 * _threads._GRAIN
    half = (large[0].half(), large[1].half(), large[2].half())
    strided = (torch.stack([large[0], large[0]], -1)[..., 0], large[1], large[2])  # copied before it is sampled
    cases: list[tuple[Case, Inputs]] = [(CASE, inputs), (LARGE, large), (LARGE, half), (LARGE, strided)]
    jobs = [(case, each, run(case, "numba", *each)) for case, each in cases]

    child = os.fork()
    if child == 0:
        in_the_child(jobs, other)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    process = multiprocessing.get_context("fork").Process(target=in_the_child, args=(jobs, other))
    process.start()
    process.join()
    assert process.exitcode == 0

    loader: DataLoader = DataLoader(Sampled(large), batch_size=None, num_workers=2, multiprocessing_context="fork")
    for item in loader:
        same_bits(item, jobs[1][2])

    fork_while_another_thread_compiles(inputs)
    same_bits(run(CASE, "numba", *inputs), jobs[0][2])  # and the parent goes on
