"""Loader processes: how they send their batches, and how they end.

Each has a line to the process that started it: a pair of sockets. A batch crosses as the descriptor of one block of
memory, which the receiver maps and closes at once, so no number of samples, tensors or waiting batches takes
descriptors. The end of the line is the end of the loader process, whatever it is doing: when the iteration ends in any
way, and when the process that started it is gone. Nothing of either has a name on the disk or in /dev/shm, so nothing
is left behind.
"""

import contextlib
import errno
import itertools
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.util import Finalize
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from atmnet.data.dataset import Batch, Collate, Sample
from atmnet.data.packing import pack, unpack
from atmnet_cli.errors import UserError

#: Seconds that loader processes have to end before they are killed.
_PATIENCE = 3.0
#: Seconds between two looks at whether the process that started this one is still there.
_INTERVAL = 1.0
#: Signals to which only the process that started the loader processes reacts: it saves, then ends them.
_IGNORED = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
#: Whether blocks of memory without a name can be made, sent and mapped.
_HAS_MEMFD = hasattr(os, "memfd_create") and sys.platform == "linux" and os.path.isdir("/proc/self/fd")

_numbers = itertools.count()
#: By number of the iteration, this process's ends of the lines to its loader processes.
_lines: dict[int, list[socket.socket]] = {}
#: In a loader process: the number of the iteration, its own number, and its end of the line.
_own_line: tuple[int, int, socket.socket] | None = None


class Loader(DataLoader[Sample]):
    """Batches of a data set, made by loader processes that end with the iteration.

    Close the iterator (``contextlib.closing``) to end an iteration early.
    """

    def __init__(self, data: Dataset[Sample], collate: Collate, workers: int, **options: Any) -> None:
        super().__init__(
            data,
            collate_fn=partial(_collate, collate),
            num_workers=workers,
            multiprocessing_context=_start_method() if workers else None,
            **options,
        )

    def __iter__(self) -> Generator[Batch, None, None]:  # type: ignore[override]
        if self.num_workers == 0:
            yield from super().__iter__()
            return
        number = next(_numbers)
        pairs = [socket.socketpair() for _ in range(self.num_workers)]
        _lines[number], theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        self.worker_init_fn = partial(_begin, number, theirs)
        started: list[Iterator[Batch]] = []
        # At exit, where nobody closed this: before multiprocessing waits for processes that ignore its SIGTERM.
        end = Finalize(None, _end, (number, started), exitpriority=100)
        try:
            started.append(super().__iter__())
            for line in theirs:
                line.close()
            yield from started[0]
        except UserError as error:
            raise _without_traceback(error) from None
        finally:
            for line in theirs:
                line.close()
            end()


def _start_method() -> str | None:
    """How loader processes are started; None for Python's default.

    A forked process is there at once, where another first imports PyTorch for seconds. Python 3.14 no longer forks by
    default, but starts processes off a server. Elsewhere than on Linux, the system's libraries do not survive a fork.
    A program whose data sets do not survive it either chooses 'spawn'.
    """
    is_spawn = multiprocessing.get_start_method(allow_none=True) == "spawn"
    return "fork" if sys.platform == "linux" and not is_spawn else None


def _collate(collate: Collate, samples: Sequence[Sample]) -> Any:
    """The batch of ``samples``; in a loader process, what to send in its place."""
    batch = collate(samples)
    return batch if get_worker_info() is None else _send(batch)


def _send(value: Any) -> Any:
    """Send ``value``; returns what becomes ``value`` when the receiver unpickles it."""
    if _own_line is None or not _HAS_MEMFD:
        return _Reduced(unpack, pack(value, lambda size: torch.empty(size, dtype=torch.uint8)))
    number, worker, line = _own_line
    handle = os.memfd_create("atmnet-batch")
    try:
        memory = pack(value, partial(_allocate, handle))
        socket.send_fds(line, [b"\0"], [handle])
    finally:
        os.close(handle)
    return _Reduced(_receive, number, worker, len(memory))


class _Reduced:
    """Becomes the result of a call when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


def _receive(number: int, worker: int, size: int) -> Any:
    _, handles, _, _ = socket.recv_fds(_lines[number][worker], 1, 1)
    if not handles:
        raise OSError(errno.EMFILE, f"{os.strerror(errno.EMFILE)}: no descriptor for a batch")
    try:
        return unpack(_map(handles[0], size))
    finally:
        os.close(handles[0])


def _allocate(handle: int, size: int) -> Tensor:
    os.posix_fallocate(handle, 0, size)  # without memory an error, where a write to it would be a bus error
    return _map(handle, size)


def _map(handle: int, size: int) -> Tensor:
    """The memory of a descriptor, which may then be closed."""
    return torch.from_file(f"/proc/self/fd/{handle}", shared=True, size=size, dtype=torch.uint8)


def _begin(number: int, lines: list[socket.socket], worker: int) -> None:
    """Called in a new loader process."""
    global _own_line
    for signal_number in _IGNORED:
        signal.signal(signal_number, signal.SIG_IGN)
    inherited = [line for of_iteration in _lines.values() for line in of_iteration]
    for line in [*inherited, *lines[:worker], *lines[worker + 1 :]]:
        line.close()
    _lines.clear()
    _own_line = number, worker, lines[worker]
    threading.Thread(target=_end_with, args=(lines[worker], os.getppid()), daemon=True).start()


def _end_with(line: socket.socket, parent: int) -> None:
    """End this process when its line or its parent does, even in the middle of a sample."""
    while os.getppid() == parent and not wait([line], _INTERVAL):
        pass
    os._exit(0)  # an exit status of 0, since PyTorch takes any other for a crash


def _end(number: int, started: list[Any]) -> None:
    """End the loader processes of an iteration."""
    for line in _lines.get(number, []):
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
    workers = [worker for iterator in started for worker in getattr(iterator, "_workers", [])]
    deadline = time.monotonic() + _PATIENCE
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
    for worker in workers:  # one that was stopped, or whose decoder does not let go of the interpreter
        while worker.is_alive():
            with contextlib.suppress(RuntimeError):  # PyTorch's handler of SIGCHLD reports it
                worker.kill()
                worker.join()
    for iterator in started:
        iterator._shutdown_workers()
    for line in _lines.pop(number, []):
        line.close()


def _without_traceback(error: UserError) -> UserError:
    """The error as the loader process raised it, where PyTorch has put a traceback around the message."""
    text = str(error)
    if not text.startswith("Caught UserError in DataLoader worker"):
        return error
    return UserError(text.rstrip().splitlines()[-1].partition(": ")[2])
