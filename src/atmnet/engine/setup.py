"""What a run needs before its first step: sensible options, timm's optimiser, timm's schedule."""

from operator import attrgetter
from typing import Any

import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from torch import nn

from atmnet_options import EvaluateOptions, OptimOptions, TrainOptions, UserError

_LEAST = {
    "epochs": 1, "batch_size": 1, "eval_batch_size": 1, "accumulate": 1, "augment.repeats": 1, "data.workers": 0,
    "threads": 1, "evaluate_every": 1, "checkpoint_every": 1, "keep": 1, "log_every": 1,
}  # fmt: skip


def build_optimizer(options: OptimOptions, model: nn.Module) -> torch.optim.Optimizer:
    """timm's optimiser over the model's parameter groups (weight decay, layer-wise decay).

    Raises:
        UserError: Where timm does not take the options.
    """
    try:
        return create_optimizer_v2(
            model,
            opt=options.opt,
            lr=options.lr,
            weight_decay=options.weight_decay,
            layer_decay=options.layer_decay,
            **options.kwargs,
        )
    except (ValueError, TypeError, AssertionError) as error:
        raise UserError(f"optim: {options.opt}: {error}") from error


def build_schedule(
    options: OptimOptions, optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int
) -> Scheduler | None:
    """timm's schedule as a function of the step: ``step_update(step)`` sets the rates of that step.

    Raises:
        UserError: Where timm does not take the options.
    """
    kwargs: dict[str, Any] = {"step_on_epochs": False, "updates_per_epoch": steps_per_epoch}
    try:
        schedule, _ = create_scheduler_v2(
            optimizer,
            sched=options.sched,
            num_epochs=epochs,
            min_lr=options.min_lr,
            warmup_lr=options.warmup_lr,
            warmup_epochs=options.warmup_epochs,
            **kwargs,
        )
    except (ValueError, AssertionError) as error:
        raise UserError(f"optim.sched: {options.sched}: {error}") from error
    return schedule


def check_numbers(options: TrainOptions | EvaluateOptions) -> None:
    """Refuse numbers that are too small, whatever the data.

    Raises:
        UserError: Naming the option.
    """
    for name, least in _LEAST.items():
        try:
            value = attrgetter(name)(options)
        except AttributeError:  # the other command's
            continue
        if value is not None and value < least:
            raise UserError(f"{name}: got {value}, expected at least {least}")
    if isinstance(options, TrainOptions) and not 0 <= options.ema < 1:
        raise UserError(f"ema: got {options.ema}, expected a decay of at least 0 and below 1")


def check_options(options: TrainOptions, images: int, classes: int, world: int, pairs: bool) -> None:
    """Refuse what could not work, before anything is written.

    Raises:
        UserError: Naming the option.
    """
    if classes < 2:
        raise UserError(f"data.train: only one class found in {images} images; a classifier needs at least two")
    if options.batch_size > images:
        raise UserError(f"batch_size: got {options.batch_size}, more than the {images} training images; lower it")
    shares = world * options.accumulate
    if options.batch_size % shares:
        raise UserError(
            f"batch_size: got {options.batch_size}, expected a multiple of processes x accumulate = "
            f"{world} x {options.accumulate}"
        )
    if pairs and options.batch_size // shares % 2:
        raise UserError(
            f"batch_size: Mixup and CutMix need an even share for each process and part; got "
            f"{options.batch_size} / {shares} = {options.batch_size // shares}"
        )
    if options.optim.warmup_epochs >= options.epochs:
        raise UserError(
            f"optim.warmup_epochs: got {options.optim.warmup_epochs}, expected fewer than epochs = {options.epochs}"
        )
