"""What a run tells: lines of metrics.jsonl at fixed steps, and progress for people in between."""

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from atmnet.engine.distributed import Group, mean_over_processes, of_each_process
from atmnet.engine.length import RunLength
from atmnet.engine.metrics import MetricsFile
from atmnet.engine.progress import Progress
from atmnet.tasks import Result
from atmnet_cli.errors import UserError
from atmnet_cli.options import TrainOptions


class TrainingLog:
    """The losses since the last line, the clocks, and where they are written to.

    All processes keep one, since a line's loss is a mean over them; only the first writes.
    """

    def __init__(self, options: TrainOptions, group: Group, length: RunLength) -> None:
        self._options, self._group, self._length = options, group, length
        self._loss, self._steps = torch.zeros((), device=group.device), 0
        self._metrics_length = 0
        self._metrics: MetricsFile | None = None
        self.seconds = 0.0

    def open(self, folder: Path, step: int) -> None:
        """Start writing, after ``step`` steps."""
        if self._group.is_main:
            self._metrics = MetricsFile(folder, self._metrics_length, step)
        self._progress = Progress("step", self._length.steps, step, self._group.is_main)
        self._clock = self._window_clock = time.monotonic()

    def close(self) -> None:
        """Stop writing."""
        self._progress.close()
        if self._metrics is not None:
            self._metrics.close()

    def state(self) -> dict[str, Any]:
        """What a resumed run's log goes on from; to be asked for by all processes."""
        return {
            "losses": of_each_process(self._loss),
            "steps": self._steps,
            "seconds": self._elapsed(),
            "metrics_length": self._metrics.sync() if self._metrics is not None else 0,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        losses, group = torch.stack(state["losses"]).to(self._group.device), self._group
        self._loss = losses[group.rank].clone() if len(losses) == group.world else losses.mean()
        self._steps, self.seconds, self._metrics_length = state["steps"], state["seconds"], state["metrics_length"]

    def add_loss(self, loss: Tensor) -> None:
        """Add a part of the present step's loss."""
        self._loss += loss.detach()

    def is_due(self, step: int) -> bool:
        """Whether a line is due after ``step`` steps."""
        return step % self._options.log_every == 0 or step == self._length.steps

    def end_step(self, step: int, lr: float, grad_norm: Tensor, unreadable: int) -> None:
        """Count a step, write a line if one is due, and show people how it goes.

        Raises:
            UserError: Where the loss is no longer a number.
        """
        self._steps += 1
        show = self._progress.due()
        if not self.is_due(step):
            self._progress.advance(self._text(step, lr, self._loss.item() / self._steps) if show else None)
            return
        loss = mean_over_processes(self._loss / self._steps).item()
        if not math.isfinite(loss):
            raise diverged(f"the loss is {loss}", step)
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

    def end_evaluation(self, step: int, result: Result, took: float) -> None:
        """Write and show the metrics of an evaluation, which ``took`` seconds that count for no step."""
        self._window_clock += took
        if self._metrics is not None:
            self._metrics.write(
                kind="evaluate",
                step=step,
                epoch=self._length.epoch(step),
                **result.metrics,
                seconds=round(self._elapsed(), 1),
            )
        self.say(f"epoch {self._length.epoch(step):g}: {result.text}")

    def say(self, line: str) -> None:
        """Show people a line."""
        self._progress.say(line)

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


def diverged(what: str, step: int) -> UserError:
    """The error of a training that left the numbers."""
    return UserError(
        f"optim.lr: {what} at step {step}; try a lower learning rate, a longer warm-up or optim.clip_grad. "
        "The last checkpoint is from before"
    )
