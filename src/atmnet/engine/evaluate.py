"""Evaluation: every image of a data set once, over all processes."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from atmnet.data import Batch, eval_loader, eval_transform, image_mode, open_source
from atmnet.engine.distributed import Group, process_group
from atmnet.engine.progress import Progress
from atmnet.engine.setup import check_numbers
from atmnet.tasks import ClassificationMeter, ClassificationResult, Classifier
from atmnet_options import DataOptions, EvaluateOptions, UserError

_DTYPE = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, amp: str) -> AbstractContextManager[Any]:
    """Mixed precision as the option ``amp`` says: 'none', 'bf16' or 'fp16'."""
    return torch.autocast(device.type, _DTYPE.get(amp), enabled=amp != "none")


@torch.inference_mode()
def evaluate_model(
    model: nn.Module,
    loader: DataLoader[Any],
    num_classes: int,
    group: Group,
    *,
    amp: str = "none",
    channels_last: bool = False,
    keep_mistakes: int = 0,
) -> ClassificationResult:
    """Metrics of ``model`` over what :func:`atmnet.data.eval_loader` yields in this and all other processes.

    Raises:
        UserError: Where an image cannot be read: an evaluation leaves none out.
    """
    was_training = model.training
    model.eval()
    meter = ClassificationMeter(num_classes, group.device, keep_mistakes)
    progress = Progress("evaluating batch", len(loader), show=group.is_main)
    number = group.rank
    batch: Batch
    for batch in loader:
        if batch.unreadable:
            raise UserError(f"unreadable image in evaluation: {batch.unreadable[0]}; `atmnet check-data` lists all")
        images = batch.images.to(group.device, non_blocking=True)
        if channels_last:
            images = images.to(memory_format=torch.channels_last)
        with autocast(group.device, amp):
            logits = model(images)
        meter.update(logits, batch.targets.to(group.device), number, group.world)
        number += len(images) * group.world
        progress.advance("" if progress.due() else None)
    progress.close()
    model.train(was_training)
    return meter.result()


def evaluate(
    options: EvaluateOptions, classifier: Classifier, data: DataOptions, keep_mistakes: int = 0
) -> ClassificationResult:
    """Metrics of a classifier on the validation split of ``data``."""
    check_numbers(options)
    with process_group(options.device) as group:
        if options.threads:
            torch.set_num_threads(options.threads)
        source = open_source(data, data.val, classifier.classes)
        loader = eval_loader(
            source,
            eval_transform(classifier.config),
            image_mode(classifier.config),
            options.batch_size,
            data.workers,
            world=group.world,
            rank=group.rank,
            pin=group.device.type == "cuda",
        )
        model = classifier.model.to(group.device)
        return evaluate_model(
            model, loader, len(classifier.classes), group, amp=options.amp, keep_mistakes=keep_mistakes
        )
