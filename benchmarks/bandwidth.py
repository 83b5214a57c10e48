"""The bandwidth of a run, as a share of the machine's copy bandwidth."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from atmnet.benchmark import compare
from benchmarks.script import Settings


def compare_with_copy(
    run: Callable[[], object],
    num_bytes: int,
    settings: Settings,
    prepare: Callable[[Callable[[], object]], Callable[[], object]] = lambda copy: copy,
) -> dict[str, Any]:
    """Time of a copy that moves ``num_bytes`` bytes, half read and half written, divided by the time of ``run``.

    ``num_bytes`` is the minimum that ``run`` must move, so that a share of 1 is the limit. A copy of the same size
    profits equally from caches. ``prepare`` does to the copy what was done to ``run``, e.g. puts it into a CUDA graph.
    """
    source = torch.zeros(num_bytes // 8, device=settings.device)
    target = torch.empty_like(source)
    # On an H200, CUDA's own copy is slower than a kernel from about 500 MB on.
    copy = partial(torch.neg, source, out=target) if source.is_cuda else partial(target.copy_, source)
    comparison = compare({"run": run, "copy": prepare(copy)}, settings.rounds, device=settings.device)
    return {
        "share": comparison.ratio("copy", "run")._asdict(),
        "bytes_per_second": num_bytes / comparison.seconds("run").median,
        "copy_bytes_per_second": num_bytes / comparison.seconds("copy").median,
    }


def total_bytes(tensors: Sequence[Tensor]) -> int:
    """Bytes of all elements of the tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
