"""Shows how far a comparison is: a table that is drawn again on a terminal, a line now and then elsewhere."""

import sys
import time
from typing import Any

from atmnet.comparison.plan import Comparison, Job
from atmnet_cli.printing import printable

_SECONDS_BETWEEN_LINES = 15.0
_UP, _CLEAR = "\x1b[{}A", "\x1b[K"


class Status:
    """The state of all jobs.

    Args:
        comparison: The comparison.
        costs: The content of cost.json.
        steps: Steps of a run with the budget 'steps'.
    """

    def __init__(self, comparison: Comparison, costs: dict[str, Any], steps: int) -> None:
        self._comparison = comparison
        self._steps = {model.label: costs["steps"].get(model.label, steps) for model in comparison.models}
        times = {label: cost["times"]["train_seconds"] for label, cost in costs["models"].items() if "times" in cost}
        self._seconds = {model.label: times.get(model.label, 1.0) for model in comparison.models}
        self._start = time.monotonic()
        self._left_at_start = self._left()
        self._last = self._start
        self._lines = 0

    def show(self) -> None:
        """Show the state, if it is time to."""
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        if not is_terminal and time.monotonic() - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = time.monotonic()
        if is_terminal:
            lines = [*self._table(), self._summary()]
            up = _UP.format(self._lines) if self._lines else ""
            sys.stderr.write(up + "".join(f"{printable(line)}{_CLEAR}\n" for line in lines))
            self._lines = len(lines)
        elif sys.stderr is not None:
            sys.stderr.write(f"{printable(self._summary())}\n")
        if sys.stderr is not None:
            sys.stderr.flush()

    def close(self) -> None:
        """Show the state a last time."""
        self._last = -_SECONDS_BETWEEN_LINES
        self.show()

    def _table(self) -> list[str]:
        jobs = self._comparison.jobs()
        labels = [model.label for model in self._comparison.models]
        width = max(map(len, labels))
        names = list(dict.fromkeys(job.name.rpartition("/")[2] for job in jobs))
        lines = [f"{'':{width}}  " + "  ".join(f"{name:>9}" for name in names)]
        for model in self._comparison.models:
            cells = {job.name.rpartition("/")[2]: self._cell(job) for job in jobs if job.model == model}
            lines.append(f"{model.label:{width}}  " + "  ".join(f"{cells.get(name, ''):>9}" for name in names))
        return lines

    def _cell(self, job: Job) -> str:
        result = self._comparison.result(job)
        if result is None:
            done = self._done(job)
            return f"{100 * done / self._steps[job.model.label]:.0f} %" if done else "."
        return "failed" if "failed" in result else f"{result['score']:.2f}"

    def _summary(self) -> str:
        jobs = self._comparison.jobs()
        count = sum(self._comparison.result(job) is not None for job in jobs)
        left, elapsed = self._left(), time.monotonic() - self._start
        done = self._left_at_start - left
        text = f"{count} of {len(jobs)} runs"
        if done > 0 and left > 0 and elapsed > 5:
            text += f", about {_duration(left * elapsed / done)} left"
        return text

    def _left(self) -> float:
        """Seconds of training that are left, by the times that were measured."""
        return sum(
            (self._steps[job.model.label] - self._done(job)) * self._seconds[job.model.label]
            for job in self._comparison.jobs()
            if self._comparison.result(job) is None
        )

    def _done(self, job: Job) -> int:
        """Steps that a run has taken, by the last line of its metrics."""
        path = self._comparison.folder / job.name / "metrics.jsonl"
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - 2000))
                steps = [int(part.split(b",")[0]) for part in file.read().split(b'"step": ')[1:] if b"," in part]
        except (OSError, ValueError):
            return 0
        return min(steps[-1] if steps else 0, self._steps[job.model.label])


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
