"""The fair way to compare several things on a noisy machine: interleaved, in one process, by ratios."""

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
        """Time of ``name`` over time of ``to``, taken round by round: what slows the machine down slows both."""
        return _spread([a / b for a, b in zip(self.times[name], self.times[to], strict=True)])


def compare(
    runs: Mapping[str, Callable[[], object]],
    rounds: int = 15,
    *,
    device: torch.device | str = "cpu",
    warmup: int = 2,
    least: float = 0.02,
    settle: bool = False,
    clock: Callable[[], float] = time.perf_counter,
    after_round: Callable[[], None] | None = None,
) -> Comparison:
    """Time ``runs`` interleaved, A B C A B C ..., after ``warmup`` calls of each.

    Args:
        runs: What to call, by name.
        rounds: Times that each is measured; at least 2.
        device: Where they compute; a CUDA device is waited for before the clock is read.
        warmup: Calls of each before the first round; at least 1.
        least: Seconds that one measurement lasts at least: short runs are called several times in a row.
        settle: Call each once more before each measurement, untimed. For runs with thread pools of their own: those of
            the run before spin on for a while, and take the cores meanwhile.
        clock: Seconds, from any zero.
        after_round: Called after each round, e.g. to show progress.
    """

    def measured(run: Callable[[], object], calls: int) -> float:
        _wait(device)
        start = clock()
        for _ in range(calls):
            run()
        _wait(device)
        return (clock() - start) / calls

    calls = {}
    for name, run in runs.items():
        for _ in range(warmup):
            seconds = measured(run, 1)
        calls[name] = max(1, math.ceil(least / max(seconds, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            if settle:
                run()
            times[name].append(measured(run, calls[name]))
        if after_round is not None:
            after_round()
    return Comparison(times)


def _wait(device: torch.device | str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
