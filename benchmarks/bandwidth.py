"""How near a run comes to the machine's copy bandwidth."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from atmnet.benchmark import compare
from benchmarks.script import Settings


def against_copy(run: Callable[[], object], moved: int, settings: Settings) -> dict[str, Any]:
    """Time of a copy that moves ``moved`` bytes, half read and half written, over the time of ``run``.

    ``moved`` is what ``run`` must move at the least, so a share of 1 is the limit. A copy of the same size has the same
    caches to its help.
    """
    source = torch.zeros(moved // 2, dtype=torch.uint8, device=settings.device)
    copy = partial(torch.empty_like(source).copy_, source)
    comparison = compare({"run": run, "copy": copy}, settings.rounds, device=settings.device)
    return {
        "share": comparison.ratio("copy", "run")._asdict(),
        "bytes_per_second": moved / comparison.seconds("run").median,
        "copy_bytes_per_second": moved / comparison.seconds("copy").median,
    }


def bytes_of(tensors: Sequence[Tensor]) -> int:
    """Bytes of all elements."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
