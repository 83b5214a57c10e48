"""Which threads the kernels run on, and that neither many callers at once nor forks confuse them."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from atmnet.ops import available_backends, sample_along
from atmnet.ops._numba import _threads
from tests.ops import numba_forked
from tests.ops.numerics import Case, run, same_bits
from tests.processes import call

pytestmark = pytest.mark.skipif("numba" not in available_backends(torch.empty(1)), reason="needs numba")

LARGE = Case((4, 32, 64, 16), 2, dim=1)  # worth eight threads


@pytest.fixture(autouse=True)
def _torch_keeps_its_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def teams(monkeypatch):
    """How many threads each kernel was run with that was run with more than one."""
    seen: list[int] = []

    def team(kernel, address, threads, flags):
        seen.append(threads)
        workers = [threading.Thread(target=_threads._KERNEL(kernel), args=(address,)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    monkeypatch.setattr(_threads, "_openmp_parallel", lambda: team)
    return seen


def test_threads_follow_torch(teams):
    x, offset, upstream = LARGE.inputs()
    torch.set_num_threads(1)
    expected = run(LARGE, "numba", x, offset, upstream)
    assert teams == []
    for threads in (2, 3, 8):
        torch.set_num_threads(threads)
        same_bits(run(LARGE, "numba", x, offset, upstream), expected)
    assert teams == [2, 2, 3, 3, 8, 8]  # forward and backward


@pytest.mark.parametrize(("tokens", "threads"), [(1, []), (2 * 1024 - 1, []), (2 * 1024, [2]), (5 * 1024, [5])])
def test_small_work_takes_few_threads(teams, tokens, threads):
    torch.set_num_threads(64)
    x = torch.randn(tokens, 16)
    assert sample_along(x, torch.zeros(tokens, 8), 0, "numba").equal(x)
    assert teams == threads


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_without_openmp(threads, monkeypatch):
    args = LARGE.inputs()
    torch.set_num_threads(2)
    expected = run(LARGE, "numba", *args)

    started, start = [], threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda thread: (started.append(thread), start(thread)))
    monkeypatch.setattr(_threads, "_openmp_parallel", lambda: None)
    torch.set_num_threads(threads)
    same_bits(run(LARGE, "numba", *args), expected)
    assert len(started) == 2 * (threads - 1)
    assert not any(thread.is_alive() for thread in started)


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads as Linux lists them")
def test_the_threads_are_those_of_torch():
    torch.set_num_threads(3)
    args = LARGE.inputs()
    torch.randn(10**6).exp()
    before = len(os.listdir("/proc/self/task"))
    for _ in range(3):
        run(LARGE, "numba", *args)
    assert len(os.listdir("/proc/self/task")) == before > 2


@pytest.mark.parametrize("openmp", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_many_callers_at_once(openmp, threads, monkeypatch):
    if not openmp:
        monkeypatch.setattr(_threads, "_openmp_parallel", lambda: None)
    torch.set_num_threads(threads)
    cases = [LARGE, Case((4, 32, 64, 16), 2, axes=2), Case((2, 64, 31, 12), 4, dim=2), Case((3, 5, 7), 1, dim=1)]
    jobs = [(case, args, run(case, "numba", *args)) for case in 2 * cases for args in [case.inputs()]]
    together = threading.Barrier(len(jobs))

    def work(case, args, expected):
        torch.set_num_threads(threads)
        together.wait()
        for _ in range(10):
            same_bits(run(case, "numba", *args), expected)

    with ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(work, *job) for job in jobs]:
            done.result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_processes():
    assert call(numba_forked.main) == 0


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_without_gradients(mode):
    x, offset, _ = LARGE.inputs()
    expected = sample_along(x, offset, 1, "numba")
    with mode():
        assert sample_along(x.requires_grad_(), offset, 1, "numba").equal(expected)
        inside = x.clone(), offset.clone()
        out = sample_along(*inside, 1, "numba")
    assert out.equal(expected)
    assert not out.requires_grad
    assert out.is_inference() == (mode is torch.inference_mode)
