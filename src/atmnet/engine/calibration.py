"""Calibration of a classifier on the validation split of a data set.

Shapes: B images of a batch, N images, K classes.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor

from atmnet.engine.evaluation import evaluate
from atmnet.tasks import ClassificationResult, ClassificationTask, Classifier, Result
from atmnet.tasks.calibration import calibration_error, fit_temperature, record_temperature
from atmnet.tasks.multilabel_meter import MultilabelResult
from atmnet.tasks.task import Meter
from atmnet.tasks.weights import find_checkpoint
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions, EvaluateOptions

#: Upper limit of the logits that are kept, in bytes.
_MAX_BYTES = 4 * 2**30


class Calibration(NamedTuple):
    """A fitted temperature, and the expected calibration error in percent without it."""

    temperature: float
    error_before: float


def calibrate(options: EvaluateOptions, classifier: Classifier, data: DataOptions) -> Calibration:
    """Fit the temperature of a checkpoint's classifier, and record it in the checkpoint's config.json.

    Args:
        options: ``model`` is the checkpoint or run that ``classifier`` was loaded from.
        classifier: The classifier, whose temperature is set.
        data: The data; their validation split is used.

    Raises:
        UserError: With mirroring, or if there is no checkpoint to record it in, the logits of all images are larger
            than 4 GiB, or no temperature fits.
    """
    if options.flip:
        raise UserError("calibrate: the temperature is fitted to the logits of single images; leave flip out")
    folder = find_checkpoint(Path(options.model))
    if folder is None:
        raise UserError(
            f"calibrate: the temperature is recorded in a checkpoint, and {options.model} is none; pass the folder of "
            "a run or checkpoint, and export it afterwards"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("calibrate: it runs in one process; start it without torchrun")
    task = _LogitsTask(replace(classifier, temperature=1.0))
    images, classes = len(task.open(data, data.val)), len(classifier.classes)
    if 4 * images * classes > _MAX_BYTES:
        raise UserError(
            f"calibrate: the logits of {images:,} images of {classes:,} classes exceed {_MAX_BYTES:,} bytes; calibrate "
            "on a smaller split"
        )
    result = cast(ClassificationResult | MultilabelResult, evaluate(options, task, data))
    logits, targets = torch.cat(task.logits), torch.cat(task.targets)
    temperature = fit_temperature(logits, targets)
    record_temperature(folder, temperature)
    classifier.temperature = temperature
    return Calibration(temperature, calibration_error(result.calibration))


class _LogitsTask(ClassificationTask):
    """A task whose evaluation keeps the logits (B, K) and targets, (B,) or (B, K), of all batches."""

    def __init__(self, network: Classifier) -> None:
        super().__init__(network)
        self.logits: list[Tensor] = []
        self.targets: list[Tensor] = []

    def meter(self, device: torch.device) -> Meter:
        return _LogitsMeter(self, super().meter(device))


class _LogitsMeter:
    def __init__(self, task: _LogitsTask, meter: Meter) -> None:
        self._task, self._meter = task, meter

    def update(self, logits: Tensor, targets: Tensor, first: int, stride: int = 1) -> None:
        self._meter.update(logits, targets, first, stride)
        self._task.logits.append(logits.float().cpu())
        self._task.targets.append(targets.cpu())

    def result(self) -> Result:
        return self._meter.result()
