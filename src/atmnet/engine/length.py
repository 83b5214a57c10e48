"""The length of a run, in steps and epochs."""

from typing import NamedTuple

from atmnet_cli.options import TrainOptions


class RunLength(NamedTuple):
    """The length of a run.

    Attributes:
        steps: Steps of the whole run.
        steps_per_epoch: Complete batches in the training split.
        text: The length in words.
    """

    steps: int
    steps_per_epoch: int
    text: str

    def epoch(self, step: int) -> float:
        """The number of epochs after ``step`` steps, as a fraction."""
        return round(step / self.steps_per_epoch, 4)


def run_length(options: TrainOptions, images: int) -> RunLength:
    """The length of a run on a training split of ``images`` images."""
    steps_per_epoch = images // options.batch_size
    if options.steps:
        return RunLength(options.steps, steps_per_epoch, f"{options.steps} steps")
    text = f"{options.epochs} epochs of {steps_per_epoch} steps"
    return RunLength(options.epochs * steps_per_epoch, steps_per_epoch, text)
