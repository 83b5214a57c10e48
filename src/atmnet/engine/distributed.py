"""One process or many under torchrun: who we are, and what needs everyone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.distributed as dist

from atmnet_cli.errors import UserError


class Group(NamedTuple):
    """This process among all: ``rank`` of ``world``, on ``device``."""

    world: int
    rank: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0


@contextmanager
def process_group(device: str) -> Iterator[Group]:
    """Join the processes that torchrun started, or be the only one; leave at the end.

    Raises:
        UserError: Where there is no such device.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Group(1, 0, device_of(device))
        return
    local = int(os.environ["LOCAL_RANK"])
    if device in ("auto", "cuda") and torch.cuda.is_available():
        device = f"cuda:{local}"
    where = device_of(device)
    if where.type == "cuda":
        torch.cuda.set_device(where)
    dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
    try:
        yield Group(dist.get_world_size(), dist.get_rank(), where)
    finally:
        dist.destroy_process_group()


def device_of(name: str) -> torch.device:
    """The device that an option names; 'auto' is CUDA where there is one, else the CPU.

    Raises:
        UserError: Where there is no such device.
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


def of_each_process(value: torch.Tensor) -> list[torch.Tensor]:
    """Every process's ``value``, in their order."""
    if not dist.is_initialized():
        return [value]
    values = [torch.empty_like(value) for _ in range(dist.get_world_size())]
    dist.all_gather(values, value)
    return values


def union_over_processes(names: list[str]) -> list[str]:
    """All processes' names, sorted, each once."""
    if dist.is_initialized():
        gathered: list[list[str]] = [[] for _ in range(dist.get_world_size())]
        dist.all_gather_object(gathered, names)
        names = [name for part in gathered for name in part]
    return sorted(set(names))


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether any process says so."""
    if not dist.is_initialized():
        return flag
    votes = torch.tensor(float(flag), device=device)
    dist.all_reduce(votes)
    return votes.item() > 0


def barrier() -> None:
    """Wait for all processes."""
    if dist.is_initialized():
        dist.barrier()
