"""The log of a run: lines of metrics.jsonl at fixed steps, and progress on the terminal."""

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from atmnet.engine.board import Board
from atmnet.engine.distributed import Group, gather_over_processes, mean_over_processes
from atmnet.engine.length import RunLength
from atmnet.engine.metrics import MetricsFile
from atmnet.engine.progress import Progress
from atmnet.tasks import Result
from atmnet_cli.errors import UserError
from atmnet_cli.options import TrainOptions


class TrainingLog:
    """Accumulates losses and times, and writes them to metrics.jsonl and the terminal.

    Every process has one, since the loss in a line is the mean over processes; only the main process writes.
    """

    def __init__(self, options: TrainOptions, group: Group, length: RunLength) -> None:
        self._options, self._group, self._length = options, group, length
        self._loss, self._steps = torch.zeros((), device=group.device), 0
        self._metrics_length = 0
        self._metrics: MetricsFile | None = None
        self.seconds = 0.0

    def open(self, folder: Path, step: int) -> None:
        """Start to write, after ``step`` completed steps."""
        options = self._options
        self._progress = Progress("step", self._length.steps, step, self._group.is_main)
        if self._group.is_main:
            self._metrics = MetricsFile(
                folder, self._metrics_length, step, options.trackers, asdict(options), self.print_line
            )
        if self._metrics is not None and self._metrics.note:
            self.print_line(self._metrics.note)
        self._clock = self._window_clock = time.monotonic()

    @property
    def board(self) -> Board | None:
        """TensorBoard's files, in the main process of an open log."""
        return None if self._metrics is None else self._metrics.board

    def close(self) -> None:
        """Stop writing."""
        self._progress.close()
        if self._metrics is not None:
            self._metrics.close()

    def state(self) -> dict[str, Any]:
        """The state that a resumed run continues from. All processes must call this."""
        return {
            "losses": gather_over_processes(self._loss),
            "steps": self._steps,
            "seconds": self._elapsed(),
            "metrics_length": self._metrics.sync() if self._metrics is not None else 0,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from the result of :meth:`state`."""
        losses, group = torch.stack(state["losses"]).to(self._group.device), self._group
        self._loss = losses[group.rank].clone() if len(losses) == group.world else losses.mean()
        self._steps, self.seconds, self._metrics_length = state["steps"], state["seconds"], state["metrics_length"]

    def add_loss(self, loss: Tensor) -> None:
        """Add the loss of a part of the current step."""
        self._loss += loss.detach()

    def is_due(self, step: int) -> bool:
        """Whether a line is due after ``step`` steps."""
        return step % self._length.log_every == 0 or step == self._length.steps

    def end_step(self, step: int, lr: float, grad_norm: Tensor, unreadable: int) -> None:
        """Count a step, write a line if one is due, and show the progress.

        Args:
            step: Number of completed steps.
            lr: Learning rate of the step.
            grad_norm: Norm of the gradient before clipping.
            unreadable: Number of unreadable images so far.

        Raises:
            UserError: If the loss is not finite.
        """
        self._steps += 1
        show = self._progress.due()
        if not self.is_due(step):
            self._progress.advance(self._text(step, lr, self._loss.item() / self._steps) if show else None)
            return
        loss = mean_over_processes(self._loss / self._steps).item()
        if not math.isfinite(loss):
            raise divergence_error(f"the loss is {loss}", step)
        if self._metrics is not None:
            self._metrics.write(
                kind="train",
                step=step,
                epoch=self._length.epoch(step),
                loss=loss,
                lr=lr,
                grad_norm=grad_norm.item(),
                images_seen=step * self._options.batch_size,
                unreadable=unreadable,
                images_per_second=round(self._rate(), 1),
                seconds=round(self._elapsed(), 1),
            )
        self._progress.advance(self._text(step, lr, loss) if show else None)
        self._loss.zero_()
        self._steps = 0
        self._window_clock = time.monotonic()

    def end_evaluation(self, step: int, result: Result, duration: float) -> None:
        """Write and show the metrics of an evaluation; its ``duration`` in seconds does not count as training time."""
        self._window_clock += duration
        if self._metrics is not None:
            self._metrics.write(
                kind="evaluate",
                step=step,
                epoch=self._length.epoch(step),
                **result.metrics,
                seconds=round(self._elapsed(), 1),
            )
        self.print_line(f"epoch {self._length.epoch(step):g}: {result.text}")

    def print_line(self, line: str) -> None:
        """Print a line without disturbing the progress bar."""
        self._progress.print_line(line)

    def _text(self, step: int, lr: float, loss: float) -> str:
        images = f"{self._rate():.0f} images/s, {step * self._options.batch_size:,} images seen"
        return f"epoch {self._length.epoch(step):.2f} loss {loss:.4f} lr {lr:.2e} {images}"

    def _rate(self) -> float:
        return self._steps * self._options.batch_size / max(time.monotonic() - self._window_clock, 1e-9)

    def _elapsed(self) -> float:
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now
        return self.seconds


class Diverged(UserError):
    """The loss or the weights of a run are not finite."""


def divergence_error(problem: str, step: int) -> Diverged:
    """The error for a loss or weights that are not finite."""
    return Diverged(
        f"optim.lr: {problem} at step {step}; try a lower learning rate, a longer warm-up or optim.clip_grad. "
        "The last checkpoint was saved before this happened"
    )
