"""A process that takes jobs of a comparison until all are done.

It is started as ``python -m atmnet.comparison.worker FOLDER NUMBER``.
"""

import json
import os
import platform
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from atmnet.comparison.cost import is_out_of_memory
from atmnet.comparison.plan import OPTIONS_FILE, Comparison, Job
from atmnet.comparison.reach import measure_reach
from atmnet.data import Split
from atmnet.data.held_out import hold_out
from atmnet.data.own import Splits
from atmnet.data.own_split import SPLIT_FILE
from atmnet.engine import Diverged, Interrupted, evaluate_model, train
from atmnet.engine.claim import claimed
from atmnet.engine.distributed import process_group
from atmnet.engine.evaluation import evaluation_loader
from atmnet.engine.length import run_length
from atmnet.files import write_json
from atmnet.predictions.evaluation_files import RecordedTask, evaluation_tables
from atmnet.tasks import load_task, open_training
from atmnet.threads import cpu_threads
from atmnet_cli.errors import first_line
from atmnet_cli.options import TrainOptions
from atmnet_cli.own_modules import import_own_modules

#: Exit status of a process that was asked to stop, and has saved.
STOPPED = 130
#: Seconds between looks for a job that has become free.
_WAIT = 0.5


def current_file(comparison: Comparison, pid: int) -> Path:
    """The file with the name of the job that a process of this machine runs."""
    return comparison.folder / "logs" / f".current-{platform.node()}-{pid}"


def take_jobs(comparison: Comparison, steps: dict[str, int], current: Path | None = None) -> None:
    """Run the jobs that no other process has claimed, until all of them are done.

    Args:
        comparison: The comparison.
        steps: Steps of a run by the label of its model; those of the options for labels that are missing.
        current: File to write the name of the job to that is being run.
    """
    while pending := [job for job in comparison.jobs() if comparison.result(job) is None]:
        if not any(_try(comparison, job, steps, current) for job in pending):
            time.sleep(_WAIT)


def _try(comparison: Comparison, job: Job, steps: dict[str, int], current: Path | None) -> bool:
    """Run a job, if it can be run and no other process has claimed it; returns whether it was run."""
    path = comparison.result_path(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    if job.lr is None:
        lr, reason = comparison.lr_of(job.model)
        if reason.startswith("failed"):
            write_json(path, {"failed": reason})
            return True
        if lr is None:
            return False
    with claimed(path.with_name(f".{path.stem}.lock")) as is_mine:
        if not is_mine or comparison.result(job) is not None:
            return False
        if current is not None:
            current.write_text(job.name)
        try:
            run = run_compared if job.lr is None else run_tuning
            result = run(comparison, job, steps.get(job.model.label))
        except Diverged as error:
            result = {"failed": f"diverged: {first_line(error).partition(';')[0]}"}
        except (Interrupted, OSError):  # of the command, or of the disk: not of the model
            raise
        except Exception as error:
            traceback.print_exc()
            reason = "not enough memory" if is_out_of_memory(error) else type(error).__name__
            result = {"failed": f"{reason}: {first_line(error)}"}
        write_json(path, result)
    return True


def run_compared(comparison: Comparison, job: Job, steps: int | None) -> dict[str, Any]:
    """Train on the whole training split, and evaluate on the validation split."""
    folder = train(comparison.train_options(job, steps))
    options = _recorded(comparison, job, steps)
    return _evaluate(folder, options, lambda task: task.open(options.data, options.data.val)) | {"lr": options.optim.lr}


def run_tuning(comparison: Comparison, job: Job, steps: int | None) -> dict[str, Any]:
    """Train on a part of the training split for as many steps, and evaluate on the other part of it."""
    options = comparison.train_options(job, steps)
    source = open_training(options)
    train_part, held_out = hold_out(source, comparison.options.held_out, comparison.options.seed)
    length = run_length(options, len(source))
    options = replace(
        options,
        steps=length.steps,
        min_epoch_steps=length.steps_per_epoch,
        optim=replace(options.optim, warmup_steps=int(length.warmup)),
        evaluate_every=length.steps,
        patience=None,
    )
    parts: Any = Splits(train_part, held_out)  # type: ignore[arg-type]
    folder = train(options, parts)
    result = _evaluate(folder, options, lambda task: held_out)
    return {"score": result["score"], "metrics": result["metrics"]}


def _recorded(comparison: Comparison, job: Job, steps: int | None) -> TrainOptions:
    """The options of a run that has ended, with the division of its data."""
    options = comparison.train_options(job, steps)
    division = comparison.folder / job.name / SPLIT_FILE
    data = replace(options.data, split_file=str(division)) if division.is_file() else options.data
    return replace(options, data=data)


def _evaluate(folder: Path, options: TrainOptions, open_split: Callable[[Any], Split]) -> dict[str, Any]:
    """Score, metrics, tables and reach of the last checkpoint of a run; the best one would be chosen by luck, too."""
    task = load_task(str(folder / "last"), keep_mistakes=1)
    split = open_split(task)
    recorder: Any = RecordedTask(task)
    with cpu_threads(options.threads), process_group(options.device) as group:
        model = task.network.model.to(group.device)
        loader = evaluation_loader(task, split, options.eval_batch_size, options.data.workers, group)
        result = evaluate_model(recorder, model, loader, group, precision=options.precision)
        reach = measure_reach(task, split, group.device)
    tables = evaluation_tables(task.network.kind, task.network.classes, result, recorder.rows, split)
    return {
        "score": result.score,
        "metrics": result.metrics,
        "classes": tables["classes"],
        "images": tables["images"],
        "reach": reach,
    }


def _end_with_parent() -> None:
    """Stop, and save, when the process that started this one has ended, however it ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main(folder: str, number: int) -> int:
    """Take jobs of the comparison in ``folder``; ``number`` counts the processes of one command from 0."""
    from atmnet_cli.command import parse

    import_own_modules()
    options = parse(["compare", "--config", str(Path(folder) / OPTIONS_FILE), f"--output={folder}"])[1]
    if options.device in ("auto", "cuda") and torch.cuda.device_count() > 1:
        options = replace(options, device=f"cuda:{number % torch.cuda.device_count()}")
    comparison = Comparison(options)
    steps = json.loads((comparison.folder / "cost.json").read_text("utf-8"))["steps"]
    _end_with_parent()
    try:
        take_jobs(comparison, steps, current_file(comparison, os.getpid()))
    except Interrupted:
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
