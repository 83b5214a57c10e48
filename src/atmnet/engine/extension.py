"""A run that is to be longer or shorter than planned: possible where its steps so far would have been the same."""

from pathlib import Path
from typing import Any

import torch

from atmnet.engine.length import RunLength, run_length
from atmnet.engine.recorded import OPTIONS_FILE, read_run
from atmnet.engine.setup import build_schedule
from atmnet.files import write_json
from atmnet_cli.errors import UserError
from atmnet_cli.options import OptimOptions, TrainOptions

#: The options that set a run's length.
LENGTH = ("epochs", "steps")


def change_length(folder: Path, options: TrainOptions, images: int, step: int) -> str:
    """Let a run have the length that ``options`` ask for, and record it.

    The run then takes the steps of one that had been planned so from the start, since its learning rates so far do not
    depend on its length. At its old end it may have logged and evaluated once more.

    Args:
        folder: The run's folder.
        options: The options, which differ from the recorded ones only in ``epochs`` and ``steps``.
        images: Number of training images.
        step: Number of completed steps, at least 1.

    Returns:
        What changes, in a line for the user; empty if nothing does.

    Raises:
        UserError: If the learning rates so far would have been others, or the run is longer already.
    """
    recorded = read_run(folder)
    wanted: dict[str, Any] = {name: getattr(options, name) for name in LENGTH}
    planned = {name: recorded[name] for name in LENGTH}
    if wanted == planned:
        return ""
    name = "steps" if wanted["steps"] is not None else "epochs"
    before, after = run_length(TrainOptions(**{**vars(options), **planned}), images), run_length(options, images)
    if after.steps < step:
        raise UserError(
            f"{name}: got {wanted[name]}, but this run has taken {step} steps; it was planned for {before.text}"
        )
    if _rates(options.optim, before, step) != _rates(options.optim, after, step):
        raise UserError(
            f"{name}: this run was planned for {before.text}, and its learning rates (optim.sched "
            f"{options.optim.sched!r}) have followed that plan, so it cannot become one of {after.text}; start a new "
            f"run from its weights: repeat the command with --model.weights {folder / 'last'} --output {folder}-2"
        )
    write_json(folder / OPTIONS_FILE, {**recorded, **wanted})
    return f"{folder}: planned for {before.text}, now for {after.text}; its steps so far are the same in both"


def _rates(options: OptimOptions, length: RunLength, steps: int) -> list[float]:
    """The learning rates of the first steps of a run of this length."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=options.lr)
    schedule = build_schedule(options, optimizer, length)
    rates = []
    for step in range(steps):
        if schedule is not None:
            schedule.step_update(step)
        rates.append(float(optimizer.param_groups[0]["lr"]))
    return rates
