"""Work in processes of its own, which can be killed; forked off a server that has imported everything once."""

import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

from atmnet_cli.options import TrainOptions

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["atmnet.engine", "torch.utils.tensorboard"])


def start(work: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """Do ``work`` in a new process."""
    process = _CONTEXT.Process(target=work, args=arguments)
    process.start()
    return process


def call(work: Callable[..., Any], *arguments: Any) -> int | None:
    """Do ``work`` in a new process, to its end; returns the exit code."""
    process = start(work, *arguments)
    process.join()
    return process.exitcode


def train_here(options: TrainOptions) -> None:
    """The work of a process that trains as if a shell had started it."""
    from atmnet.engine import train
    from atmnet_cli.errors import UserError

    # This process's own method would go to the loader's processes, too; they are forked in a process of a shell's.
    multiprocessing.set_start_method("fork", force=True)
    try:
        train(options)
    except UserError as error:
        sys.exit(f"atmnet: error: {error}")
