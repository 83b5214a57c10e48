"""The length of a run, in steps and epochs."""

from typing import NamedTuple

from atmnet_cli.options import TrainOptions

#: By default, steps between lines of the log, and the lines of a short run, if it has as many steps.
_LOG_EVERY, _LINES = 50, 20


class RunLength(NamedTuple):
    """The length of a run.

    Attributes:
        steps: Steps of the whole run.
        steps_per_epoch: Complete batches in the training split, or ``min_epoch_steps`` if there are fewer.
        warmup: Steps of warm-up; half of the run if those of the options are not fewer than its steps.
        log_every: Steps between lines of the log.
        text: The length in words.
        notes: Lines that tell the user what was adapted to a short run.
    """

    steps: int
    steps_per_epoch: int
    warmup: float
    log_every: int
    text: str
    notes: tuple[str, ...]

    def epoch(self, step: int) -> float:
        """The number of epochs after ``step`` steps, as a fraction."""
        return round(step / self.steps_per_epoch, 4)


def run_length(options: TrainOptions, images: int) -> RunLength:
    """The length of a run on a training split of ``images`` images, and what follows from it."""
    batches = images // options.batch_size
    per_epoch = max(batches, options.min_epoch_steps)
    steps = options.steps or options.epochs * per_epoch
    text = f"{options.steps} steps" if options.steps else f"{options.epochs} epochs of {per_epoch} steps"
    notes = []
    if batches < per_epoch:
        notes.append(
            f"an epoch of {per_epoch} steps passes over the {images} images "
            f"{per_epoch * options.batch_size / images:.1f} times (min_epoch_steps)"
        )
    unit = "epochs" if options.optim.warmup_steps is None else "steps"
    length: int = getattr(options.optim, f"warmup_{unit}")
    warmup: float = length * per_epoch if unit == "epochs" else length
    if warmup >= steps and options.optim.sched != "none":
        notes.append(
            f"optim.warmup_{unit}: {length} {unit} of warm-up do not fit this run: the learning rate rises for half of "
            "it instead"
        )
        warmup = steps // 2
    notes += _unreached_milestones(options, steps / per_epoch)
    log_every = options.log_every or max(1, min(_LOG_EVERY, steps // _LINES))
    return RunLength(steps, per_epoch, warmup, log_every, text, tuple(notes))


def _unreached_milestones(options: TrainOptions, epochs: float) -> list[str]:
    """A line if the schedule lowers the learning rate only after the end of the run."""
    milestones = options.optim.sched_kwargs.get("decay_milestones")
    late = [each for each in milestones if each >= epochs] if isinstance(milestones, list) else []
    if not late:
        return []
    return [
        f"optim.sched_kwargs: the learning rate does not fall at the decay_milestones {late}, since the run ends after "
        f"{epochs:g} epochs"
    ]
