"""Compares run times on a noisy machine: interleaved in one process, as ratios."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch


class Spread(NamedTuple):
    """A median with its quartiles."""

    median: float
    lower_quartile: float
    upper_quartile: float


def _spread(values: Sequence[float]) -> Spread:
    lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, lower, upper)


@dataclass(frozen=True)
class Comparison:
    """Seconds per call of each run, one value for each round."""

    times: dict[str, list[float]]

    def seconds(self, name: str) -> Spread:
        """Seconds per call."""
        return _spread(self.times[name])

    def ratio(self, name: str, to: str) -> Spread:
        """Time of ``name`` over time of ``to``, computed per round, because a slower machine slows both down."""
        return _spread([a / b for a, b in zip(self.times[name], self.times[to], strict=True)])


def compare(
    runs: Mapping[str, Callable[[], object]],
    rounds: int = 15,
    *,
    device: torch.device | str = "cpu",
    warmup: int = 2,
    min_seconds: float = 0.02,
    settle: bool = False,
    clock: Callable[[], float] = time.perf_counter,
    after_round: Callable[[], None] | None = None,
) -> Comparison:
    """Time ``runs`` interleaved, A B C A B C ..., after ``warmup`` calls of each.

    Args:
        runs: Functions to call, by name.
        rounds: Number of measurements of each; at least 2.
        device: Device that they use. A CUDA device is synchronised before the clock is read.
        warmup: Calls of each before the first round; at least 1.
        min_seconds: Minimum duration of one measurement: shorter runs are called several times in a row.
        settle: Whether to call each once without timing before each measurement. Use it for runs that have their own
            thread pools: the threads of the previous run keep spinning for a while and occupy the cores.
        clock: Returns the time in seconds, from any origin.
        after_round: Called after each round, e.g. to show progress.
    """

    def seconds_per_call(run: Callable[[], object], calls: int) -> float:
        _synchronize(device)
        start = clock()
        for _ in range(calls):
            run()
        _synchronize(device)
        return (clock() - start) / calls

    calls = {}
    for name, run in runs.items():
        for _ in range(warmup):
            seconds = seconds_per_call(run, 1)
        calls[name] = max(1, math.ceil(min_seconds / max(seconds, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            if settle:
                run()
            times[name].append(seconds_per_call(run, calls[name]))
        if after_round is not None:
            after_round()
    return Comparison(times)


def _synchronize(device: torch.device | str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
