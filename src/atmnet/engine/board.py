"""TensorBoard's files of a run: the numbers of metrics.jsonl, and a few pictures of bounded size and number."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import nn

from atmnet.data import Batch, Split
from atmnet.engine.length import RunLength
from atmnet.engine.loss import mixed
from atmnet.tasks import Task
from atmnet_cli.errors import first_line
from atmnet_cli.options import TrainOptions

#: A run shows answers after at most so many evaluations, in equal distances, besides the last.
_SHEETS = 20
BATCH, ANSWERS = "train/first_batch", "evaluate/answers"


class Draw(NamedTuple):
    """What draws pictures, since the engine itself does not; see :mod:`atmnet.predictions.board`.

    Attributes:
        batch: (task, images, targets) of a batch as the network gets it -> a picture.
        answers: (task, model, split, device) -> a picture of fixed images of the split with the model's answers.
    """

    batch: Callable[[Task, Any, Any], Image.Image]
    answers: Callable[[Task, nn.Module, Split, torch.device], Image.Image]


class Board:
    """TensorBoard's files in a run's folder; nothing if TensorBoard is not installed.

    TensorBoard drops what it had of the checkpoint's step and later ones as a run resumes. What belongs to that step is
    written again: lines of metrics.jsonl here, pictures by :class:`Pictures`.

    Args:
        folder: The run's folder.
        step: Step of the checkpoint.
        lines: The lines of metrics.jsonl up to the checkpoint.

    Attributes:
        exists: Whether there are such files.
    """

    def __init__(self, folder: Path, step: int, lines: Sequence[Mapping[str, Any]] = ()) -> None:
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.exists = False
            return
        self.exists = True
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        for line in lines:
            if line["step"] >= step:
                self.write(line)

    def write(self, line: Mapping[str, Any]) -> None:
        """Add the numbers of a line of metrics.jsonl."""
        if self._writer is not None:
            for key, value in line.items():
                if isinstance(value, int | float) and key != "step":
                    self._writer.add_scalar(f"{line['kind']}/{key}", value, line["step"])

    def add_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Add a picture."""
        if self._writer is not None:
            self._writer.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        """Flush and close."""
        if self._writer is not None:
            self._writer.close()


class Pictures:
    """The pictures of a run for TensorBoard. Drawing that fails ends with a line; training goes on.

    Args:
        draw: What draws them; None for no pictures.
        task: The task of the run.
        split: The validation split.
        options: The options of the run.
        length: Its length.
        warn: Called with the line about drawing that fails.
    """

    def __init__(
        self,
        draw: Draw | None,
        task: Task,
        split: Split,
        options: TrainOptions,
        length: RunLength,
        warn: Callable[[str], None],
    ) -> None:
        self._draw, self._task, self._split, self._options, self._warn = draw, task, split, options, warn
        self._every = options.evaluate_every * length.steps_per_epoch * max(
            1, ceil(length.steps / length.steps_per_epoch / options.evaluate_every / _SHEETS)
        )  # fmt: skip
        self._last = length.steps
        self.board: Board | None = None

    def show_batch(self, batch: Batch) -> None:
        """Show the first batch of the run as the network gets it."""
        self._show(BATCH, 0, lambda draw: draw.batch(self._task, *mixed(self._task, batch, self._options, 0)))

    def show_answers(self, step: int, model: nn.Module, device: torch.device) -> None:
        """Show the model's answers to fixed images after the evaluation of a step, or after every n-th of many."""
        if step % self._every == 0 or step == self._last:
            self._show(ANSWERS, step, lambda draw: draw.answers(self._task, model, self._split, device))

    def _show(self, name: str, step: int, picture: Callable[[Draw], Image.Image]) -> None:
        if self._draw is None or self.board is None or not self.board.exists:
            return
        try:
            self.board.add_picture(name, picture(self._draw), step)
        except Exception as error:
            self._draw = None
            self._warn(f"TensorBoard: no pictures: {first_line(error)}; the run goes on without them")
