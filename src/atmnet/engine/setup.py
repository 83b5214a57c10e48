"""What a run needs before its first step: sensible options, timm's optimiser, timm's schedule."""

from dataclasses import fields
from functools import partial
from typing import Any

import torch
from timm.optim import create_optimizer_v2, param_groups_weight_decay
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from torch import nn

from atmnet.engine.distributed import Group
from atmnet.engine.length import RunLength, run_length
from atmnet.tasks import find_head
from atmnet_cli.errors import UserError, check_minimums, refuse_options
from atmnet_cli.options import AugmentOptions, EvaluateOptions, Kind, OptimOptions, TrainOptions

_MINIMUMS = {
    "epochs": 1, "batch_size": 1, "eval_batch_size": 1, "accumulate": 1, "augment.repeats": 1, "data.workers": 0,
    "threads": 1, "steps": 1, "optim.warmup_steps": 0, "evaluate_every": 1, "checkpoint_every": 1, "keep": 1,
    "log_every": 1,
}  # fmt: skip
_DENSE: tuple[Kind, ...] = ("detection", "segmentation")
#: Options that only some kinds of task take. ``model.neck`` depends on the head itself.
_KINDS: dict[str, tuple[Kind, ...]] = {
    **{f"augment.{each.name}": ("classification",) for each in fields(AugmentOptions) if each.name != "repeats"},
    "data.img_size": ("classification",),
    "optim.layer_decay": ("classification",),
    **dict.fromkeys(("model.channels", "model.head_kwargs", "dense.hflip", "dense.distort"), _DENSE),
    **dict.fromkeys(("dense.img_sizes", "dense.max_img_size"), ("detection",)),
    **dict.fromkeys(
        ("dense.crop_size", "dense.scale", "dense.max_class_share", "dense.class_weights"), ("segmentation",)
    ),
}


def build_optimizer(options: OptimOptions, model: nn.Module) -> torch.optim.Optimizer:
    """timm's optimiser over the model's parameter groups (weight decay, layer-wise decay).

    Raises:
        UserError: Where timm does not take the options.
    """
    kwargs = dict(options.kwargs)
    if not hasattr(model, "no_weight_decay") and options.layer_decay is None:  # a backbone inside may say so
        names = [
            f"{prefix}.{name}"
            for prefix, module in model.named_modules()
            if hasattr(module, "no_weight_decay")
            for name in module.no_weight_decay()
        ]
        kwargs["param_group_fn"] = partial(
            param_groups_weight_decay, weight_decay=options.weight_decay, no_weight_decay_list=names
        )
    try:
        return create_optimizer_v2(
            model,
            opt=options.opt,
            lr=options.lr,
            weight_decay=options.weight_decay,
            layer_decay=options.layer_decay,
            **kwargs,
        )
    except (ValueError, TypeError, AssertionError) as error:
        raise UserError(f"optim: {options.opt}: {error}") from error


def build_schedule(options: OptimOptions, optimizer: torch.optim.Optimizer, length: RunLength) -> Scheduler | None:
    """timm's schedule as a function of the step: ``step_update(step)`` sets the rates of that step.

    Args:
        options: Which schedule.
        optimizer: Whose rates.
        length: The length of the run.

    Raises:
        UserError: Where timm does not take the options.
    """
    # timm takes parts of epochs, though its types say int.
    steps, steps_per_epoch = length.steps, length.steps_per_epoch
    whole, rest = divmod(steps, steps_per_epoch)
    kwargs: dict[str, Any] = {
        **options.sched_kwargs,
        "step_on_epochs": False,
        "updates_per_epoch": steps_per_epoch,
        "num_epochs": steps / steps_per_epoch if rest else whole,
        "warmup_epochs": options.warmup_epochs,
    }
    if options.warmup_steps is not None:
        kwargs["warmup_epochs"] = options.warmup_steps / steps_per_epoch
    try:
        schedule, _ = create_scheduler_v2(
            optimizer,
            sched=options.sched,
            min_lr=options.min_lr,
            warmup_lr=options.warmup_lr,
            **kwargs,
        )
    except (ValueError, AssertionError, TypeError) as error:
        raise UserError(f"optim.sched: {options.sched}: {error}") from error
    return schedule


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a state dict, each moment in the layout of its parameter: fused optimisers walk both by memory."""
    optimizer.load_state_dict(state)
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                values[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def check_numbers(options: TrainOptions | EvaluateOptions) -> None:
    """Refuse numbers that are out of range whatever the data are.

    Raises:
        UserError: Naming the option.
    """
    check_minimums(options, _MINIMUMS)
    if isinstance(options, TrainOptions) and not 0 <= options.ema < 1:
        raise UserError(f"ema: got {options.ema}, expected a decay of at least 0 and below 1")


def check_options(options: TrainOptions, images: int, classes: int, world: int) -> None:
    """Refuse what could not work, before anything is written.

    Raises:
        UserError: Naming the option.
    """
    name, head = options.model.head, find_head(options.model.head)
    if classes < 2 and head.kind == "classification":
        raise UserError(f"data.train: only one class found in {images} images; a classifier needs at least two")
    if classes < 2 and head.kind == "segmentation":
        raise UserError(
            "data.train: only one class; a segmenter needs at least two: name a background, too, which is 0 in label "
            "maps with --data.ignore_zero=false"
        )
    refused = [option for option, kinds in _KINDS.items() if head.kind not in kinds]
    refuse_options(options, refused if head.neck else [*refused, "model.neck"], f"model.head {name!r}")
    if options.compile and head.kind == "detection":
        raise UserError(
            "compile: torch.compile does not take detectors, whose sizes are those of the data; leave it out"
        )
    if options.batch_size > images:
        raise UserError(f"batch_size: got {options.batch_size}, more than the {images} training images; lower it")
    shares = world * options.accumulate
    if options.batch_size % shares:
        raise UserError(
            f"batch_size: got {options.batch_size}, expected a multiple of processes x accumulate = "
            f"{world} x {options.accumulate}"
        )
    if options.steps is None and options.optim.warmup_steps is None and options.optim.warmup_epochs >= options.epochs:
        raise UserError(
            f"optim.warmup_epochs: got {options.optim.warmup_epochs}, expected fewer than epochs = {options.epochs}"
        )
    length = run_length(options, images)
    warmup = options.optim.warmup_steps
    if (options.optim.warmup_epochs * length.steps_per_epoch if warmup is None else warmup) >= length.steps:
        unit, value = ("epochs", options.optim.warmup_epochs) if warmup is None else ("steps", warmup)
        raise UserError(f"optim.warmup_{unit}: got {value}, expected less than the run's {length.steps} steps")


def check_pairs(options: TrainOptions, world: int, pairs: bool) -> None:
    """Refuse odd shares of a batch whose images are mixed in pairs.

    Raises:
        UserError: Naming the option.
    """
    shares = world * options.accumulate
    if pairs and options.batch_size // shares % 2:
        raise UserError(
            f"batch_size: Mixup and CutMix need an even share for each process and part; got "
            f"{options.batch_size} / {shares} = {options.batch_size // shares}"
        )


def prepare_model(model: nn.Module, group: Group, channels_last: bool) -> nn.Module:
    """Move a model to its device and memory format; over several processes, let them share batch statistics.

    Raises:
        UserError: On a CPU with several processes, for a model with BatchNorm that learns.
    """
    model = _with_synchronised_norms(model, group).to(group.device)
    return model.to(memory_format=torch.channels_last) if channels_last else model


def _with_synchronised_norms(model: nn.Module, group: Group) -> nn.Module:
    learns = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if group.world == 1 or not learns:
        return model
    if group.device.type != "cuda":
        raise UserError(
            "model: its batch normalisation cannot be synchronised over processes on a CPU; use one process, or a head "
            'without it (of upernet: model.head_kwargs {"norm": "group"})'
        )
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)
