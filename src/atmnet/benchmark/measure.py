"""Measures several models side by side: time, ratios of times, memory."""

from collections.abc import Callable, Mapping
from typing import Any

from atmnet.benchmark.timing import Comparison, compare
from atmnet.benchmark.workload import Workload


def measure_models(
    workloads: Mapping[str, Workload], rounds: int = 15, after_round: Callable[[], None] | None = None
) -> dict[str, dict[str, Any]]:
    """Measure workloads in interleaved rounds.

    Args:
        workloads: What to measure, by name.
        rounds: Number of measurements of each.
        after_round: Called after each round, e.g. to show progress.

    Returns:
        For each name a dict of numbers: ``seconds`` per call and ``ratio`` (its time over that of the first workload),
        both as median and quartiles; ``images_per_second``; ``peak_bytes``; and for training steps ``saved_bytes``.
    """
    device = next(iter(workloads.values())).device
    comparison = compare(workloads, rounds, device=device, after_round=after_round)
    return {name: _row(name, workload, comparison) for name, workload in workloads.items()}


def _row(name: str, workload: Workload, comparison: Comparison) -> dict[str, Any]:
    seconds = comparison.seconds(name)
    row: dict[str, Any] = {
        "seconds": seconds._asdict(),
        "images_per_second": workload.batch_size / seconds.median,
        "ratio": comparison.ratio(name, next(iter(comparison.times)))._asdict(),
        "peak_bytes": workload.peak_bytes(),
    }
    if workload.train:
        row["saved_bytes"] = workload.saved_bytes()
    return row
