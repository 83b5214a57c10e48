"""Starts the processes of a comparison, shows how far they are, and starts again what was killed."""

import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from atmnet.comparison.cost import measure_cost
from atmnet.comparison.plan import Comparison, record_comparison, total_steps
from atmnet.comparison.status import Status
from atmnet.comparison.worker import STOPPED, current_file
from atmnet.data import Split
from atmnet.engine import latest_checkpoint
from atmnet.engine.claim import claimed
from atmnet.files import write_json
from atmnet.records import Record
from atmnet_cli.errors import UserError
from atmnet_cli.printing import print_line

#: Seconds between looks at the processes.
_INTERVAL = 0.5
#: How often a process may be killed in a job without a new checkpoint until the job counts as failed.
_MOST_KILLS = 3
#: Seconds that processes have to save after Ctrl-C.
_PATIENCE = 60


def run_jobs(comparison: Comparison, split: Split) -> dict[str, Any]:
    """Measure the models and run all jobs that are not done; returns the content of cost.json.

    Args:
        comparison: The comparison, which has been checked.
        split: The training split.

    Raises:
        UserError: If a job ends in an error that is not its model's.
    """
    record_comparison(comparison)
    costs = _costs(comparison, split)
    steps = total_steps(comparison, len(split))
    status = Status(comparison, costs, steps)
    workers = _Workers(comparison)
    try:
        while any(comparison.result(job) is None for job in comparison.jobs()):
            workers.tend()
            status.show()
            time.sleep(_INTERVAL)
    finally:
        workers.stop()
        status.close()
    return costs


def _costs(comparison: Comparison, split: Split) -> dict[str, Any]:
    """The content of cost.json, measured by the process that comes first."""
    path = comparison.folder / "cost.json"
    while not path.is_file():
        with claimed(comparison.folder / ".cost.lock") as is_mine:
            if is_mine and not path.is_file():
                costs = measure_cost(comparison, split, lambda line: print_line(line, error=True))
                steps = _equal_time(comparison, costs, split) if comparison.options.budget == "time" else {}
                write_json(path, {"models": costs, "steps": steps})
        if not path.is_file():
            time.sleep(_INTERVAL)
    return Record.read(path).value


def _equal_time(comparison: Comparison, costs: dict[str, dict[str, Any]], split: Split) -> dict[str, int]:
    """The steps that each model can take in the time that the first one needs for its steps."""
    steps = total_steps(comparison, len(split))
    seconds = {label: cost["times"]["train_seconds"] for label, cost in costs.items() if "times" in cost}
    first = seconds.get(comparison.models[0].label)
    if first is None:
        raise UserError(f"budget: the training time of {comparison.models[0].label} could not be measured")
    return {label: max(1, round(steps * first / each)) for label, each in seconds.items()}


class _Workers:
    """The processes that take the jobs."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._logs = comparison.folder / "logs"
        self._logs.mkdir(exist_ok=True)
        count = min(comparison.options.jobs, len(comparison.jobs()))
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count
        self._kills: dict[str, tuple[int, Path | None]] = {}

    def tend(self) -> None:
        """Start processes that are missing, and see to those that have ended."""
        for number, process in enumerate(self._processes):
            if process is not None and (status := process.poll()) is not None:
                self._processes[number] = None
                if status < 0:
                    self._count_kill(process.pid, -status)
                elif status not in (0, STOPPED):
                    raise UserError(
                        f"a run ended in an error: {self._last_line(number)}; all of it is in {self._log(number)}"
                    )
                current_file(self._comparison, process.pid).unlink(missing_ok=True)
            if self._processes[number] is None and self._jobs_left():
                self._processes[number] = self._start(number)

    def stop(self) -> None:
        """Let all processes save and end."""
        running = [process for process in self._processes if process is not None and process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _PATIENCE
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            current_file(self._comparison, process.pid).unlink(missing_ok=True)

    def _jobs_left(self) -> bool:
        return any(self._comparison.result(job) is None for job in self._comparison.jobs())

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "atmnet.comparison.worker", str(self._comparison.folder), str(number)]
        with self._log(number).open("ab") as log:
            # Not in the terminal's group: Ctrl-C goes to this process, which ends the others.
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _log(self, number: int) -> Path:
        return self._logs / f"{platform.node() or 'process'}-{number}.log"

    def _last_line(self, number: int) -> str:
        lines = [line for line in self._log(number).read_text("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1].removeprefix("atmnet: error: ") if lines else "no output"

    def _count_kill(self, pid: int, signal: int) -> None:
        """Note that a job's process was killed; a job that gets nowhere any more has failed."""
        try:
            name = current_file(self._comparison, pid).read_text()
        except OSError:
            return
        job = next((job for job in self._comparison.jobs() if job.name == name), None)
        if job is None or self._comparison.result(job) is not None:
            return
        checkpoint = latest_checkpoint(self._comparison.folder / name)
        count, before = self._kills.get(name, (0, checkpoint))
        count = count + 1 if checkpoint == before else 1
        self._kills[name] = count, checkpoint
        if count >= _MOST_KILLS:
            path = self._comparison.result_path(job)
            with claimed(path.with_name(f".{path.stem}.lock")) as is_mine:
                if is_mine:
                    write_json(
                        path, {"failed": f"killed by signal {signal} {count} times, probably for lack of memory"}
                    )
