"""Experiment trackers that show a run's metrics elsewhere: Weights & Biases and MLflow, through their own libraries.

metrics.jsonl is the record; a tracker gets its lines. How many it has got is kept in the run's folder, so that a run
which resumes goes on in the same run of the tracker, without gaps or repeated steps: the lines that follow a
checkpoint come out the same again.
"""

import importlib
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from atmnet.files import to_json, write_json
from atmnet.records import Record
from atmnet_cli.errors import UserError, first_line, install

#: The file in a run's folder with each tracker's id of the run, and the number of lines that it has got.
TRACKERS_FILE = "trackers.json"
_PROJECT = "atmnet"


class Tracker(Protocol):
    """A run in a tracker."""

    id: str

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add numbers of a step, which is at least the last one."""

    def close(self) -> None:
        """Send what is left, and end."""


class WeightsAndBiases:
    """A run of Weights & Biases; WANDB_MODE=offline, WANDB_PROJECT and its other variables apply."""

    def __init__(self, folder: Path, options: dict[str, Any], id: str | None) -> None:
        import wandb

        self.id = id or uuid.uuid4().hex[:12]
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            id=self.id,
            name=folder.name,
            dir=str(folder),
            config=options,
            resume="allow",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """A run of MLflow; MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME apply."""

    def __init__(self, folder: Path, options: dict[str, Any], id: str | None) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self._metric = Metric
        self._client = MlflowClient()
        if id is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
            experiment = self._client.get_experiment_by_name(name)
            number = self._client.create_experiment(name) if experiment is None else experiment.experiment_id
            id = self._client.create_run(number, run_name=folder.name).info.run_id
            parameters = [Param(key, str(value)[:500]) for key, value in _flat(options)]
            self._client.log_batch(id, params=parameters)
        else:
            self._client.update_run(id, status="RUNNING")
        self.id = id

    def log(self, values: Mapping[str, float], step: int) -> None:
        now = int(1000 * time.time())
        self._client.log_batch(self.id, [self._metric(key, value, now, step) for key, value in values.items()])

    def close(self) -> None:
        self._client.set_terminated(self.id)


#: Name in ``trackers`` -> (module to import, (run's folder, options, id of the run or None) -> the tracker).
TRACKERS: dict[str, tuple[str, Callable[[Path, dict[str, Any], str | None], Tracker]]] = {
    "wandb": ("wandb", WeightsAndBiases),
    "mlflow": ("mlflow", MLflow),
}


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers whose libraries are not installed, before work is spent.

    Raises:
        UserError: Names the library.
    """
    for name in names:
        try:
            importlib.import_module(TRACKERS[name][0])
        except ImportError as error:
            raise UserError(f"trackers: {name} is not installed: {install('trackers')}") from error


class Trackers:
    """The trackers of a run. One that fails is left out from then on, with a line; training goes on.

    Args:
        names: Keys of :data:`TRACKERS`.
        folder: The run's folder.
        options: The run's options.
        lines: The lines of metrics.jsonl up to the checkpoint.
        warn: Called with a line about a tracker that fails.
    """

    def __init__(
        self,
        names: Sequence[str],
        folder: Path,
        options: dict[str, Any],
        lines: Sequence[Mapping[str, Any]],
        warn: Callable[[str], None],
    ) -> None:
        self._path, self._warn = folder / TRACKERS_FILE, warn
        self._state: dict[str, Any] = Record.read(self._path).value if names and self._path.is_file() else {}
        self._trackers: dict[str, Tracker] = {}
        self._count = 0  # of lines
        for name in names:
            known = self._state.get(name, {})
            with_id = known.get("id")
            try:
                self._trackers[name] = TRACKERS[name][1](folder, options, with_id)
            except Exception as error:
                self._fail(name, error)
                continue
            self._state[name] = {"id": self._trackers[name].id, "lines": known.get("lines", 0)}
        for line in lines:
            self.write(line)

    def write(self, line: Mapping[str, Any]) -> None:
        """Pass the numbers of the next line of metrics.jsonl to the trackers that have not got it."""
        self._count += 1
        values = {
            f"{line['kind']}/{key}": value
            for key, value in line.items()
            if isinstance(value, int | float) and key != "step"
        }
        for name, tracker in list(self._trackers.items()):
            if self._count <= self._state[name]["lines"]:
                continue
            try:
                tracker.log(values, line["step"])
            except Exception as error:
                self._fail(name, error)
                continue
            self._state[name]["lines"] = self._count
            write_json(self._path, self._state)

    def close(self) -> None:
        """End all of them."""
        for name, tracker in list(self._trackers.items()):
            try:
                tracker.close()
            except Exception as error:
                self._fail(name, error)

    def _fail(self, name: str, error: Exception) -> None:
        self._trackers.pop(name, None)
        self._warn(f"trackers: {name}: {first_line(error)}; the run goes on without it")


def _flat(options: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested options under their dotted names."""
    pairs: list[tuple[str, Any]] = []
    for name, value in options.items():
        is_group = isinstance(value, Mapping)
        pairs += _flat(value, f"{prefix}{name}.") if is_group else [(prefix + name, to_json(value))]
    return pairs
