"""Evaluation of every image of a data set exactly once, over all processes."""

from contextlib import closing

import torch
from torch import nn

from atmnet.data import Loader, Split, eval_loader, image_mode, to_device
from atmnet.engine.distributed import Group, process_group
from atmnet.engine.progress import Progress
from atmnet.engine.setup import check_numbers
from atmnet.tasks import Result, Task
from atmnet.threads import cpu_threads
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions, EvaluateOptions

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context of automatic mixed precision for 'bf16' and 'fp16', which has no effect for 'fp32'."""
    return torch.autocast(device.type, _DTYPES.get(precision), enabled=precision != "fp32")


@torch.inference_mode()
def evaluate_model(
    task: Task,
    model: nn.Module,
    loader: Loader,
    group: Group,
    *,
    precision: str = "fp32",
    channels_last: bool = False,
) -> Result:
    """Metrics of ``model`` over the batches that :func:`evaluation_loader` yields in all processes.

    Raises:
        UserError: If an image cannot be read, since metrics without it could not be compared.
    """
    was_training = model.training
    model.eval()
    meter = task.meter(group.device)
    number = group.rank
    with (
        closing(Progress("evaluating batch", len(loader), show=group.is_main)) as progress,
        closing(iter(loader)) as batches,
    ):
        for batch in batches:
            if batch.unreadable:
                raise UserError(f"unreadable image in evaluation: {batch.unreadable[0]}; `atmnet check-data` lists all")
            images, targets = to_device(batch.images, group.device), to_device(batch.targets, group.device)
            if channels_last and isinstance(images, torch.Tensor):
                images = images.to(memory_format=torch.channels_last)
            with autocast(group.device, precision):
                outputs = task.outputs(model, images, targets)
            meter.update(outputs, targets, number, group.world)
            number += len(images) * group.world
            progress.advance("" if progress.due() else None)
    model.train(was_training)
    return meter.result()


def evaluation_loader(task: Task, source: Split, batch_size: int, workers: int, group: Group) -> Loader:
    """Batches of this process's share of ``source``, with the transform and collation of ``task``."""
    return eval_loader(
        source,
        task.eval_transform(),
        task.eval_collate,
        image_mode(task.network.config),
        batch_size,
        workers,
        world=group.world,
        rank=group.rank,
        pin=group.device.type == "cuda",
    )


def evaluate(options: EvaluateOptions, task: Task, data: DataOptions) -> Result:
    """Evaluate a task's network on the validation split of ``data``, each image exactly once over all processes.

    Args:
        options: Batch size, precision and device; its other options have no effect.
        task: The task, as :func:`atmnet.tasks.load_task` makes it.
        data: Where the images come from.

    Returns:
        The result, whose ``metrics`` are in percent; its other parts depend on the kind of network.

    Raises:
        UserError: If an option is out of range, or the data cannot be read.

    Examples:
        >>> from atmnet.engine import evaluate
        >>> from atmnet.tasks import load_task
        >>> from atmnet_cli.options import DataOptions, EvaluateOptions
        >>> task, data = load_task("atmnet_nano.digits"), DataOptions(source="digits", workers=0)
        >>> result = evaluate(EvaluateOptions("atmnet_nano.digits", device="cpu"), task, data)
        >>> result.metrics["top1"] > 98
        True
    """
    check_numbers(options)
    with cpu_threads(options.threads), process_group(options.device) as group:
        loader = evaluation_loader(task, task.open(data, data.val), options.batch_size, data.workers, group)
        return evaluate_model(task, task.network.model.to(group.device), loader, group, precision=options.precision)
