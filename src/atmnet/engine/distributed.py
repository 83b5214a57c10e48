"""One process, or many under torchrun: their group, and the operations over all of them."""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from atmnet_cli.errors import UserError


class Group(NamedTuple):
    """This process's ``rank`` among ``world`` processes, and its ``device``."""

    world: int
    rank: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0


@contextmanager
def process_group(device: str) -> Iterator[Group]:
    """Join the processes that torchrun started, and leave them at the end. Without torchrun, the group is this process.

    Raises:
        UserError: If the device cannot be used.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Group(1, 0, device_of(device))
        return
    own = own_device(device)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    dist.init_process_group("nccl" if own.type == "cuda" else "gloo")
    try:
        yield Group(dist.get_world_size(), dist.get_rank(), own)
    finally:
        dist.destroy_process_group()


def own_device(device: str) -> torch.device:
    """The device of this process: of those that torchrun started on a machine, each has a GPU of its own.

    Raises:
        UserError: If the device cannot be used.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ and device in ("auto", "cuda") and torch.cuda.is_available():
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    return device_of(device)


def device_of(name: str) -> torch.device:
    """The device of the option ``device``; 'auto' is CUDA if available, else the CPU.

    Raises:
        UserError: If the device cannot be used.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"device: {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


def mean_over_processes(value: torch.Tensor) -> torch.Tensor:
    """The mean of ``value`` over all processes."""
    if dist.is_initialized():
        dist.all_reduce(value)
        value = value / dist.get_world_size()
    return value


def gather_over_processes(value: torch.Tensor) -> list[torch.Tensor]:
    """The ``value`` of each process, by rank."""
    if not dist.is_initialized():
        return [value]
    values = [torch.empty_like(value) for _ in range(dist.get_world_size())]
    dist.all_gather(values, value)
    return values


def union_over_processes(names: list[str]) -> list[str]:
    """The names of all processes, sorted and without duplicates."""
    if dist.is_initialized():
        gathered: list[list[str]] = [[] for _ in range(dist.get_world_size())]
        dist.all_gather_object(gathered, names)
        names = [name for part in gathered for name in part]
    return sorted(set(names))


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether ``flag`` is true in any process."""
    if not dist.is_initialized():
        return flag
    count = torch.tensor(float(flag), device=device)
    dist.all_reduce(count)
    return count.item() > 0


def barrier() -> None:
    """Wait for all processes."""
    if dist.is_initialized():
        dist.barrier()


def data_parallel(model: nn.Module) -> DistributedDataParallel:
    """A model whose gradients are averaged over processes. Buffers are not: norms share their statistics themselves."""
    # PyTorch 2.15 has renamed the option, and warns of the old name.
    names = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers"
    options: dict[str, Any] = {name: False}
    return DistributedDataParallel(model, **options)
