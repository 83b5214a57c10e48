"""Loader processes: what crosses from them arrives as it was, by few descriptors; and they end, whatever happens."""

import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import time
from contextlib import closing

import pytest
import torch
from torch.utils.data import Dataset

from atmnet.data import Loader, list_samples
from atmnet.data import workers as loader_workers
from atmnet.data.dataset import Sample
from atmnet.data.packing import pack, unpack
from atmnet.data.targets import DetectionTarget
from atmnet_cli.errors import UserError
from tests.leftovers import children
from tests.processes import start

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

OBJECTS = 20


def _sample(index: int) -> Sample:
    generator = torch.Generator().manual_seed(index)
    target = DetectionTarget(
        boxes=torch.rand(OBJECTS, 4, generator=generator),
        labels=torch.randint(9, (OBJECTS,), generator=generator),
        masks=torch.rand(OBJECTS, 8, 9 + index % 3, generator=generator) > 0.5,
        crowd=torch.zeros(OBJECTS, dtype=torch.bool),
        area=torch.rand(OBJECTS, generator=generator),
        image_id=index,
    )
    return Sample(torch.rand(8, 9 + index % 3, 3, generator=generator).permute(2, 0, 1), target, [f"{index} (broken)"])


class Toys(Dataset[Sample]):
    """Samples of ``work(index)``, by default :func:`_sample`."""

    def __init__(self, work=_sample):
        self.work = work

    def __getitem__(self, index):
        return self.work(index)


def _loader(work=_sample, workers=2, images=48, batch_size=4, collate=list_samples):
    batches = [list(range(first, first + batch_size)) for first in range(0, images, batch_size)]
    return Loader(Toys(work), collate, workers, batch_sampler=batches, generator=torch.Generator())


def _assert_same(a, b):
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert one.unreadable == other.unreadable
        assert [target.image_id for target in one.targets] == [target.image_id for target in other.targets]
        for name in ("boxes", "labels", "masks", "crowd", "area"):
            pairs = [(getattr(s, name), getattr(t, name)) for s, t in zip(one.targets, other.targets, strict=True)]
            assert all(s.equal(t) and s.stride() == t.stride() and s.dtype == t.dtype for s, t in pairs)
        images = list(zip(one.images, other.images, strict=True))
        assert all(s.equal(t) and s.stride() == t.stride() for s, t in images)


@pytest.mark.parametrize("has_memfd", [True, False])
def test_batches_arrive_as_they_were(has_memfd, monkeypatch):
    monkeypatch.setattr(loader_workers, "_HAS_MEMFD", has_memfd and loader_workers._HAS_MEMFD)
    _assert_same(list(_loader()), list(_loader(workers=0)))


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
@pytest.mark.parametrize(("default", "expected"), [("forkserver", "fork"), ("spawn", "spawn")])
def test_they_are_forked_unless_a_program_spawns(default, expected):
    """'forkserver' is the default of Python 3.14."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(default, force=True)
    try:
        context = _loader().multiprocessing_context or multiprocessing.get_context()
        assert context.get_start_method() == expected
    finally:
        multiprocessing.set_start_method(before, force=True)


def test_packed_values():
    """All dtypes, strides, empty and shared tensors, and whatever else is in a batch."""
    dense = torch.arange(24.0).reshape(2, 3, 4)
    value = {
        "dtypes": [torch.ones(3, dtype=dtype) for dtype in (torch.bool, torch.int16, torch.float64, torch.bfloat16)],
        "strides": [dense.permute(2, 0, 1), dense[:, ::2], torch.ones(1).expand(4), torch.zeros(0, 5), torch.tensor(7)],
        "large": torch.rand(200, 200),
        "other": ("text", None, 2**70, {1.5}),
    }
    result = unpack(pack(value, lambda size: torch.full((size,), 255, dtype=torch.uint8)))
    assert result["other"] == value["other"]
    for name in ("dtypes", "strides"):
        for one, other in zip(result[name], value[name], strict=True):
            assert one.dtype == other.dtype
            assert one.equal(other)
    assert result["strides"][0].stride() == value["strides"][0].stride()
    assert result["large"].equal(value["large"])
    # A meter that keeps a small tensor does not keep the batch; a large one is not copied.
    assert result["strides"][0].untyped_storage().nbytes() < 200
    assert result["large"].untyped_storage().nbytes() > 200 * 200 * 4


def _with_few_descriptors(images, batch_size):
    """Exits with the most descriptors that this process had, above those it began with."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    before, kept, most = len(os.listdir("/proc/self/fd")), [], 0
    for batch in _loader(images=images, batch_size=batch_size):
        kept.append(batch)
        most = max(most, len(os.listdir("/proc/self/fd")) - before)
    return most


@pytest.mark.skipif(not loader_workers._HAS_MEMFD, reason="needs memfd")
def test_descriptors_do_not_grow():
    """Neither with samples, objects or batches, even if all are kept: 6 for each of two loader processes."""
    for images, batch_size in ((8, 4), (240, 4), (256, 128)):
        process = start(_with_few_descriptors, images, batch_size)
        process.join(60)
        assert process.exitcode is not None
        assert 0 < process.exitcode <= 12, process.exitcode


def _raise(error):
    def work(index):
        if index == 21:
            raise error
        return _sample(index)

    return work


def _end_itself(how):
    def work(index):
        if index == 21:
            how()
        return _sample(index)

    return work


def _unpicklable(samples):
    return lambda: samples


class Unpicklable(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


@pytest.mark.parametrize(
    ("loader", "error", "told"),
    [
        (_loader(_raise(ZeroDivisionError("made to fail"))), ZeroDivisionError, "made to fail"),
        (_loader(_raise(UserError("data.root: wrong"))), UserError, "^data.root: wrong$"),
        (_loader(_raise(MemoryError())), MemoryError, "in DataLoader worker"),
        (_loader(_raise(Unpicklable(1, 2))), RuntimeError, "Unpicklable"),
        (_loader(_raise(SystemExit(3))), RuntimeError, "DataLoader worker"),
        (_loader(_raise(KeyboardInterrupt())), RuntimeError, "DataLoader worker"),
        (_loader(collate=lambda samples: samples[9]), IndexError, "out of range"),
        (_loader(collate=_unpicklable), AttributeError, "pickle"),
        (_loader(_end_itself(lambda: os.kill(os.getpid(), signal.SIGKILL))), RuntimeError, "DataLoader worker"),
        (_loader(_end_itself(lambda: ctypes.string_at(0))), RuntimeError, "DataLoader worker"),
        (_loader(_end_itself(lambda: os._exit(3))), RuntimeError, "DataLoader worker"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_failure_of_a_loader_process_ends_all(loader, error, told):
    """The error comes, at the latest when PyTorch looks for its processes after 5 s, and no process stays."""
    begin = time.monotonic()
    with pytest.raises(error, match=told), closing(iter(loader)) as batches:
        for _ in batches:
            pass
    assert time.monotonic() - begin < 10
    assert not _own_loader_processes()


def _own_loader_processes():
    return multiprocessing.active_children()


def _busy_for_ever():
    time.sleep(600)


def _stopped():
    os.kill(os.getpid(), signal.SIGSTOP)


@pytest.mark.parametrize("how", [_busy_for_ever, _stopped])
def test_an_iteration_that_ends_early(how):
    """Whatever its loader processes are at: one sleeps in a sample or is stopped, others wait for work."""
    with closing(iter(_loader(_end_itself(how)))) as batches:
        next(batches)
        time.sleep(0.2)
        begin = time.monotonic()
    assert time.monotonic() - begin < 5
    assert not _own_loader_processes()


def _raise_with_an_open_iterator():
    batches = iter(_loader(_end_itself(_busy_for_ever)))
    next(batches)
    raise UserError("the traceback keeps the iterator")


def test_nobody_closes_the_iterator():
    """As in a script that fails: multiprocessing waits at exit for processes that ignore its SIGTERM."""
    process = start(_raise_with_an_open_iterator)
    process.join(15)
    assert process.exitcode == 1


def _hang(started):
    with closing(iter(_loader(_end_itself(_busy_for_ever)))) as batches:
        next(batches)
        started.touch()
        time.sleep(600)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes as Linux lists them")
def test_the_parent_is_killed(tmp_path):
    """They end by themselves, even one that is busy; in the middle of a sample, PyTorch's do not."""
    process = start(_hang, tmp_path / "started")
    while not (tmp_path / "started").exists():
        assert process.is_alive()
        time.sleep(0.02)
    workers = children(process.pid)
    assert len(workers) == min(2, os.cpu_count() or 1) == 2
    os.kill(workers[0], signal.SIGTERM)  # a scheduler's: it goes to all
    os.kill(workers[0], signal.SIGINT)
    time.sleep(0.1)
    assert all(os.path.exists(f"/proc/{worker}") for worker in workers)
    process.kill()
    process.join()
    deadline = time.monotonic() + 8
    while any(_is_alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
