"""The loss of a batch in training, whose random numbers follow from counters."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from atmnet.data import Batch, derive_seed, reseed, to_device
from atmnet.engine.evaluation import autocast
from atmnet.tasks import Task
from atmnet_cli.options import TrainOptions

# The counters that follow the seed for random numbers of a step; those of samples have an epoch there.
_MIXING, _MODEL = -1, -2


def batch_loss(
    task: Task,
    model: Callable[..., Any],
    batch: Batch,
    options: TrainOptions,
    device: torch.device,
    step: int = 0,
    first: int = 0,
) -> Tensor:
    """The loss of a batch, mixed and in the precision of the options.

    Args:
        task: The task.
        model: The network's model, or a wrapper of it.
        batch: The batch, anywhere.
        options: The options of the run.
        device: The model's device.
        step: Number of completed steps.
        first: Position of the batch's first image in the step.
    """
    batch = batch._replace(images=to_device(batch.images, device), targets=to_device(batch.targets, device))
    images, targets = mixed(task, batch, options, step)
    if options.channels_last and isinstance(images, Tensor):
        images = images.to(memory_format=torch.channels_last)
    seeds = [derive_seed(options.seed, _MODEL, step, first + i) for i in range(len(images))]
    reseed(options.seed, _MODEL, step, first)
    with autocast(device, options.precision):
        return task.loss(model, images, targets, seeds)


def mixed(task: Task, batch: Batch, options: TrainOptions, step: int) -> tuple[Any, Any]:
    """Images and targets of a batch, combined at random as the network gets them in the step after ``step``."""
    reseed(options.seed, _MIXING, step)
    return task.mix(batch.images, batch.targets)
