"""What a measurement ran on, and the fair way to compare two things on a noisy machine."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import timm
import torch


def versions() -> dict[str, Any]:
    """Processor, threads and versions, to write beside every number."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
    }


def ratio(baseline: Callable[[], object], ours: Callable[[], object], rounds: int = 15) -> dict[str, float]:
    """Time of ``baseline`` over that of ``ours``: interleaved pairs in one process; median and quartiles."""
    for run in (baseline, ours):
        run()
    ratios = []
    for _ in range(rounds):
        times = []
        for run in (baseline, ours):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        ratios.append(times[0] / times[1])
    low, median, high = statistics.quantiles(ratios, n=4)
    return {"median": median, "lower_quartile": low, "upper_quartile": high, "rounds": rounds}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
