"""Preparation of a run: checks of its options, timm's optimiser and schedule, and the model on its device."""

from dataclasses import fields
from functools import partial
from typing import Any

import torch
from timm.optim import create_optimizer_v2, param_groups_weight_decay
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from timm.utils import ModelEmaV3
from torch import nn

from atmnet.engine.distributed import Group
from atmnet.engine.length import RunLength
from atmnet.ops._private import keep_compiler_caches_private
from atmnet.tasks import find_head
from atmnet.tasks.configuration import CLASSIFIERS
from atmnet_cli.errors import UserError, check_minimums, refuse_options
from atmnet_cli.options import AugmentOptions, EvaluateOptions, Kind, OptimOptions, TrainOptions

_MINIMUMS = {
    "epochs": 1, "batch_size": 1, "eval_batch_size": 1, "accumulate": 1, "augment.repeats": 1, "data.workers": 0,
    "threads": 1, "steps": 1, "optim.warmup_steps": 0, "optim.warmup_epochs": 0, "evaluate_every": 1,
    "checkpoint_every": 1, "keep": 1, "log_every": 1, "min_epoch_steps": 1, "patience": 1, "min_delta": 0,
}  # fmt: skip
#: timm's gamma and power of the moving average's warm-up: after n steps, it reaches back over (1 + n / 40)^1.5 of them,
#: which is 3 of 40, 25 of 300 and 130 of 1,000. An average over 25,000 steps, as in a paper's run of 375,000, is whole
#: after 34,000.
_WARMUP: dict[str, Any] = {"use_warmup": True, "warmup_gamma": 40.0, "warmup_power": 1.5}
_DENSE: tuple[Kind, ...] = ("detection", "segmentation")
#: Options that only some kinds of task take. Whether ``model.neck`` is taken depends on the head.
_OPTION_KINDS: dict[str, tuple[Kind, ...]] = {
    **{f"augment.{each.name}": CLASSIFIERS for each in fields(AugmentOptions) if each.name != "repeats"},
    **dict.fromkeys(("data.img_size", "optim.layer_decay"), CLASSIFIERS),
    **dict.fromkeys(("model.channels", "model.head_kwargs", "dense.hflip", "dense.distort"), _DENSE),
    **dict.fromkeys(("sampling", "class_weights"), ("classification",)),
    **dict.fromkeys(("dense.img_sizes", "dense.max_img_size"), ("detection",)),
    **dict.fromkeys(
        ("dense.crop_size", "dense.scale", "dense.max_class_share", "dense.class_weights"), ("segmentation",)
    ),
}


def build_optimizer(options: OptimOptions, model: nn.Module) -> torch.optim.Optimizer:
    """timm's optimiser, with parameter groups for weight decay and layer-wise learning rates.

    Raises:
        UserError: If timm does not accept the options.
    """
    kwargs = dict(options.kwargs)
    if options.opt.startswith("kron"):
        if not kwargs.get("flatten"):
            raise UserError(
                f'optim.kwargs: {options.opt!r} needs {{"flatten": true}}, because without it the step of a '
                "convolution of 96 x 192 x 3 x 3 takes 110 GB"
            )
        keep_compiler_caches_private()  # timm compiles its step
    if not hasattr(model, "no_weight_decay") and options.layer_decay is None:  # the backbone inside may have it
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
    """timm's schedule by step: ``step_update(step)`` sets the learning rates of that step.

    Args:
        options: The schedule's name and arguments.
        optimizer: The optimiser whose learning rates are set.
        length: The length of the run.

    Returns:
        The schedule; None if ``options.sched`` is 'none'.

    Raises:
        UserError: If timm does not accept the options.
    """
    # timm accepts fractions of epochs, although its annotations say int.
    steps, steps_per_epoch = length.steps, length.steps_per_epoch
    epochs, rest = divmod(steps, steps_per_epoch)
    kwargs: dict[str, Any] = {
        **options.sched_kwargs,
        "step_on_epochs": False,
        "updates_per_epoch": steps_per_epoch,
        "num_epochs": steps / steps_per_epoch if rest else epochs,
        "warmup_epochs": length.warmup / steps_per_epoch,
    }
    try:
        schedule: Scheduler | None = create_scheduler_v2(
            optimizer,
            sched=options.sched,
            min_lr=options.min_lr,
            warmup_lr=options.warmup_lr,
            **kwargs,
        )[0]
    except (ValueError, AssertionError, TypeError) as error:
        raise UserError(f"optim.sched: {options.sched}: {error}") from error
    return schedule


def build_average(options: TrainOptions, model: nn.Module) -> ModelEmaV3 | None:
    """timm's moving average, which warms up if its updates are told the step; None if ``options.ema`` is 0."""
    return ModelEmaV3(model, decay=options.ema, **_WARMUP) if options.ema else None


def check_numbers(options: TrainOptions | EvaluateOptions) -> None:
    """Refuse numbers that are out of range for any data.

    Raises:
        UserError: For the first such option.
    """
    check_minimums(options, _MINIMUMS)
    if isinstance(options, TrainOptions) and not 0 <= options.ema < 1:
        raise UserError(f"ema: got {options.ema}, expected a decay of at least 0 and below 1")


def check_options(options: TrainOptions, images: int, classes: int, world: int) -> None:
    """Refuse options that do not fit the data, the head or each other, before anything is written.

    Args:
        options: The options.
        images: Number of training images.
        classes: Number of classes.
        world: Number of processes.

    Raises:
        UserError: For the first such option.
    """
    name, head = options.model.head, find_head(options.model.head)
    if classes < 2 and head.kind == "classification":
        raise UserError(f"data.train: only one class found in {images} images; a classifier needs at least two")
    if classes < 2 and head.kind == "segmentation":
        raise UserError(
            "data.train: only one class; a segmenter needs at least two: add a background class, whose label is 0 with "
            "--data.ignore_zero=false"
        )
    refused = [option for option, kinds in _OPTION_KINDS.items() if head.kind not in kinds]
    refuse_options(options, refused if head.neck else [*refused, "model.neck"], f"model.head {name!r}")
    if options.compile and head.kind == "detection":
        raise UserError(
            "compile: detectors cannot be trained with torch.compile, since their image sizes vary; leave it out"
        )
    if options.batch_size > images and options.min_epoch_steps == 1:
        raise UserError(
            f"batch_size: got {options.batch_size}, more than the {images} training images; lower it, or set "
            "--min_epoch_steps to the number of batches that an epoch shall have"
        )
    shares = world * options.accumulate
    if options.batch_size % shares:
        raise UserError(
            f"batch_size: got {options.batch_size}, expected a multiple of processes x accumulate = "
            f"{world} x {options.accumulate}"
        )


def check_pairs(options: TrainOptions, world: int, pairs: bool) -> None:
    """Refuse a batch size with odd shares if images are mixed in pairs.

    Args:
        options: The options.
        world: Number of processes.
        pairs: Whether the task mixes the images of a share in pairs.

    Raises:
        UserError: If a share is odd.
    """
    shares = world * options.accumulate
    if pairs and options.batch_size // shares % 2:
        raise UserError(
            f"batch_size: Mixup and CutMix need an even share for each process and part; got "
            f"{options.batch_size} / {shares} = {options.batch_size // shares}"
        )


def prepare_model(model: nn.Module, group: Group, channels_last: bool) -> nn.Module:
    """Move a model to its device and memory format, and synchronise its BatchNorm over processes.

    Raises:
        UserError: For a model with BatchNorm in several processes on a CPU.
    """
    model = _with_synchronised_norms(model, group).to(group.device)
    return model.to(memory_format=torch.channels_last) if channels_last else model


def _with_synchronised_norms(model: nn.Module, group: Group) -> nn.Module:
    has_batch_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if group.world == 1 or not has_batch_norm:
        return model
    if group.device.type != "cuda":
        raise UserError(
            "model: its batch normalisation cannot be synchronised over processes on a CPU; use one process, or a head "
            'without it (for upernet: model.head_kwargs {"norm": "group"})'
        )
    synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return synchronised
