"""What a comparison runs: its models, and a job for each run of each of them.

The folder of a comparison contains::

    comparison.json         its options
    cost.json               cost and speed of the models, measured first
    tuning/LABEL/lr-0.001/  a run on a part of the training data, and beside it lr-0.001.json with its result
    runs/LABEL/seed-0/      a run on all of the training data, and beside it seed-0.json with its result
    logs/                   what the processes print
    compare.json, compare.csv, compare.html
"""

import json
import os
import re
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from atmnet.data import Split
from atmnet.engine.folder import option_differences
from atmnet.engine.length import run_length
from atmnet.engine.setup import check_numbers, check_options
from atmnet.engine.trial import check_shapes
from atmnet.files import to_json, write_json
from atmnet.records import Record
from atmnet.tasks import find_head, open_training, start_task
from atmnet.tasks.configuration import CLASSIFIERS
from atmnet_cli.errors import UserError, check_minimums, refuse_options
from atmnet_cli.options import CompareOptions, TrainOptions
from atmnet_cli.output_paths import check_output_folder

OPTIONS_FILE = "comparison.json"
#: Options that may change when a comparison goes on.
_MAY_CHANGE = {"output", "jobs", "device", "threads"}
#: What a mapping in ``models`` may contain.
_KEYS = {"name": str, "label": str, "kwargs": dict, "weights": str}


@dataclass(frozen=True)
class ComparedModel:
    """A model of a comparison.

    Attributes:
        label: What it is called in tables.
        name: Its name in timm.
        kwargs: Its arguments, in addition to those of ``model.kwargs``.
        weights: The weights that it starts from; see ``model.weights``.
    """

    label: str
    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    weights: str = ""

    @property
    def folder(self) -> str:
        """The label as a name of a folder."""
        return re.sub(r"[^\w.=+-]+", "-", self.label).strip(".") or "model"


@dataclass(frozen=True)
class Job:
    """One run of a model.

    Attributes:
        model: The model.
        seed: The run's seed.
        lr: The learning rate that is tried; None for a run that is compared.
    """

    model: ComparedModel
    seed: int
    lr: float | None = None

    @property
    def name(self) -> str:
        """The run's folder, relative to that of the comparison."""
        if self.lr is None:
            return f"runs/{self.model.folder}/seed-{self.seed}"
        return f"tuning/{self.model.folder}/lr-{self.lr:g}"


class Comparison:
    """The options of a comparison, and the state of its folder."""

    def __init__(self, options: CompareOptions) -> None:
        self.options, self.folder = options, Path(options.output)
        self.models = read_models(options)
        self._results: dict[str, dict[str, Any]] = {}

    def jobs(self) -> list[Job]:
        """All jobs, in the order in which they are taken."""
        options = self.options
        tuning = [Job(model, options.seed, lr) for lr in self.lrs if len(self.lrs) > 1 for model in self.models]
        return tuning + [Job(model, options.seed + number) for number in range(options.seeds) for model in self.models]

    @property
    def lrs(self) -> list[float]:
        """The learning rates to try."""
        return self.options.lrs or [self.options.optim.lr]

    def result_path(self, job: Job) -> Path:
        """The file of a job's result."""
        return self.folder / f"{job.name}.json"

    def result(self, job: Job) -> dict[str, Any] | None:
        """The result of a job: ``failed`` with the reason, or ``score`` and more; None if it is not done."""
        path = self.result_path(job)
        if job.name not in self._results and path.is_file():
            self._results[job.name] = Record.read(path).value
        return self._results.get(job.name)

    def lr_of(self, model: ComparedModel) -> tuple[float | None, str]:
        """The learning rate of a model and "", or None and why there is none yet; the reason starts with 'failed'."""
        if len(self.lrs) == 1:
            return self.lrs[0], ""
        results = {lr: self.result(Job(model, self.options.seed, lr)) for lr in self.lrs}
        if any(result is None for result in results.values()):
            return None, "waits"
        scores = {lr: result["score"] for lr, result in results.items() if result and "score" in result}
        if not scores:
            reasons = {result["failed"] for result in results.values() if result}
            return None, f"failed at every learning rate: {'; '.join(sorted(reasons))}"
        return max(scores, key=lambda lr: scores[lr]), ""

    def train_options(self, job: Job, steps: int | None = None) -> TrainOptions:
        """The options of the run of a job.

        Args:
            job: The job.
            steps: Number of steps, instead of that of the options.
        """
        options, model = self.options, job.model
        values = {each.name: getattr(options, each.name) for each in fields(TrainOptions)}
        lr = self.lr_of(model)[0] if job.lr is None else job.lr
        network = replace(
            options.model,
            name=model.name,
            kwargs={**options.model.kwargs, **model.kwargs},
            weights=model.weights or options.model.weights,
        )
        values |= {
            "output": str(self.folder / job.name),
            "model": network,
            "seed": job.seed,
            "optim": options.optim if lr is None else replace(options.optim, lr=lr),
        }
        trained = TrainOptions(**values)
        if steps is not None:
            trained = replace(trained, steps=steps)
        return trained

    def check(self) -> Split:
        """Refuse models and options that cannot be compared, before work is spent; returns the training split.

        Images have the same size for all: without ``data.img_size``, that of the first model.

        Raises:
            UserError: For the first mistake.
        """
        options = self.options
        check_numbers(options)
        check_minimums(options, {"seeds": 1, "jobs": 1})
        if not 0 < options.held_out < 1:
            raise UserError(f"held_out: got {options.held_out}, expected a share between 0 and 1, such as 0.2")
        if any(not 0 < lr < float("inf") for lr in self.lrs):
            raise UserError(f"lrs: got {self.lrs}, expected positive numbers")
        if len(set(self.lrs)) < len(self.lrs):
            raise UserError(f"lrs: got {self.lrs}, expected each learning rate once")
        refuse_options(options, ["model.name"], "`atmnet compare`, which takes --models,")
        refuse_options(options, ["auto_batch"], "`atmnet compare`, whose models all take the same batch,")
        first = self.train_options(Job(self.models[0], options.seed))
        split = open_training(first)
        if find_head(options.model.head).kind in CLASSIFIERS and options.data.img_size is None:
            side = start_task(first, split).network.config["input_size"][-1]
            self.options = options = replace(options, data=replace(options.data, img_size=side))
        for model in self.models:
            train = self.train_options(Job(model, options.seed))
            try:
                check_options(train, len(split), len(split.classes), 1)
                check_shapes(start_task(train, split).network, train, 1)
            except UserError as error:
                raise UserError(f"models: {model.label}: {error}") from error
        return split


def read_models(options: CompareOptions) -> list[ComparedModel]:
    """The models to compare.

    Raises:
        UserError: If there are none, an entry is not understood, or two have the same label.
    """
    models = [_read_model(entry) for entry in options.models]
    if not models:
        raise UserError("models: none given; expected names of timm models, such as --models atmnet_tiny convnext_tiny")
    names: dict[str, str] = {}
    for model in models:
        key = model.folder.casefold()
        if key in names:
            raise UserError(
                f"models: {names[key]!r} and {model.label!r} have the same label; give each its own, in a recipe: "
                "models: [{name: ..., label: ...}, ...]"
            )
        names[key] = model.label
    return models


def _read_model(entry: str | dict[str, Any]) -> ComparedModel:
    values = {"name": entry} if isinstance(entry, str) else entry
    wrong = [key for key, value in values.items() if key not in _KEYS or not isinstance(value, _KEYS[key])]
    if wrong or not values.get("name"):
        raise UserError(f"models: got {to_json(entry)[:200]}, expected a name, or name, label, kwargs and weights")
    return ComparedModel(**{"label": values["name"], **values})


def open_comparison(options: CompareOptions) -> Comparison:
    """A comparison in its folder: recorded in a new one, or the one that the folder already contains.

    Raises:
        UserError: If the folder contains another comparison or other files.
    """
    folder = Path(options.output)
    check_output_folder(folder, "output")
    record = folder / OPTIONS_FILE
    if record.is_file():
        recorded = Record.read(record).value
        if options.data.img_size is None:
            options = replace(options, data=replace(options.data, img_size=recorded["data"]["img_size"]))
        requested = json.loads(to_json(asdict(options)))
        differences = sorted(option_differences(recorded, requested, _MAY_CHANGE))
        if differences:
            raise UserError(
                f"output: {folder} holds another comparison: {'; '.join(differences[:4])}"
                f"{' ...' if len(differences) > 4 else ''}. Choose another folder, or use the same options to go on"
            )
        # Other numbers of threads may give other last bits.
        return Comparison(replace(options, threads=recorded.get("threads")))
    if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UserError(f"output: {folder} holds files that are not a comparison's; choose another folder")
    if options.threads is None and options.jobs > 1:
        options = replace(options, threads=max(1, (os.cpu_count() or 1) // options.jobs))
    return Comparison(options)


def record_comparison(comparison: Comparison) -> None:
    """Record the options in the folder, unless they are already there."""
    comparison.folder.mkdir(parents=True, exist_ok=True)
    path = comparison.folder / OPTIONS_FILE
    if not path.is_file():
        write_json(path, asdict(comparison.options))


def total_steps(comparison: Comparison, images: int) -> int:
    """Steps of a run with the budget 'steps'."""
    options = comparison.train_options(Job(comparison.models[0], comparison.options.seed))
    return run_length(options, images).steps
