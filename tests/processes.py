"""Processes that can be killed, and commands as a shell or torchrun starts them: all forked off one server.

A new interpreter takes four seconds to import torch and timm. The server has imported both, so its forks take none.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
import uuid
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from atmnet_cli.command import main
from atmnet_cli.errors import UserError

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["atmnet.engine", "atmnet_cli.command", "sklearn.datasets", "torch.distributed.run", "torch.utils.tensorboard"]
)


def start(work: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """Do ``work`` in a new process, as if a shell had started it; a UserError ends it with one line.

    The exit code is what ``work`` returns, if that is a number, else 0.
    """
    process = _CONTEXT.Process(target=_child, args=(work, arguments))
    process.start()
    return process


def call(work: Callable[..., Any], *arguments: Any) -> int | None:
    """Do ``work`` in a new process, to its end; returns the exit code."""
    process = start(work, *arguments)
    process.join()
    return process.exitcode


class Finished(NamedTuple):
    """What a command left: its exit status and all that it wrote."""

    returncode: int
    stdout: str
    stderr: str


class Command:
    """Work in a process that leads a group of its own, as a shell's command does, and whose output is kept."""

    def __init__(self, work: Callable[..., Any], *arguments: Any, **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._streams = [Path(self._folder.name) / name for name in ("stdout", "stderr")]
        for stream in self._streams:
            stream.touch()
        self._process = start(_with_streams, self._streams, environment, work, arguments)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.is_alive()

    def is_running_after(self, seconds: float) -> bool:
        """Whether it is still running when so much time has passed."""
        self._process.join(seconds)
        return self.is_running

    @property
    def stdout(self) -> str:
        """What it has written so far."""
        return self._streams[0].read_text()

    def finish(self, seconds: float = 150) -> Finished:
        """Wait for its end, which must come in time."""
        self._process.join(seconds)
        code, output = self._process.exitcode, [stream.read_text() for stream in self._streams]
        if code is None:
            self._process.kill()
            self._process.join()
            raise TimeoutError(f"still running after {seconds} s\n{output[0]}\n{output[1]}")
        self._folder.cleanup()
        return Finished(code, *output)


def atmnet(*arguments: object, **environment: str) -> Finished:
    """What ``atmnet ARGUMENTS`` leaves."""
    return Command(main, [str(argument) for argument in arguments], **environment).finish()


def torchrun(work: Callable[..., Any], *arguments: Any) -> Finished:
    """What two processes that both do ``work`` leave under the agent that torchrun starts them with."""
    return Command(_agent, work, arguments).finish()


def _child(work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    # This process's own method would go to the loader's processes, too; they are forked in a process of a shell's.
    multiprocessing.set_start_method("fork", force=True)
    try:
        result = work(*arguments)
    except UserError as error:
        sys.exit(f"atmnet: error: {error}")
    if isinstance(result, int):
        sys.exit(result)


def _with_streams(streams: list[Path], environment: dict[str, str], work: Any, arguments: tuple[Any, ...]) -> Any:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run under nohup, all inherit its choice
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for number, path in enumerate(streams, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    os.environ.update(environment)
    tempfile.tempdir = str(streams[0].parent)
    return work(*arguments)


def _agent(work: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=2, run_id=str(uuid.uuid4()), rdzv_backend="c10d",
        rdzv_endpoint="localhost:0", max_restarts=0, start_method="fork",
    )  # fmt: skip
    try:
        elastic_launch(config, _worker)(work, arguments)
    except ChildFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _worker(work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        status = work(*arguments)
    except Exception:  # as the interpreter would: the agent tells only of the process that it saw fail first
        traceback.print_exc()
        raise
    if isinstance(status, int) and status != 0:
        sys.exit(status)
