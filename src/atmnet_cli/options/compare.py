"""Options of the comparison of models."""

from dataclasses import dataclass, field
from typing import Any, Literal

from atmnet_cli.options.training import TrainOptions


@dataclass
class CompareOptions(TrainOptions):
    """Train several models alike, and compare their scores, cost and speed; the same command resumes."""

    models: list[str | dict[str, Any]] = field(default_factory=list)
    """The models to compare, the first of which the others are measured against: names of any timm models, or in a
    recipe mappings of name, label, kwargs and weights."""
    seeds: int = 3
    """Number of runs of each model, with the seeds seed, seed + 1, ..."""
    lrs: list[float] = field(default_factory=list)
    """Learning rates to try for each model; the best one on a part held out of the training data is used. Default:
    only optim.lr."""
    held_out: float = 0.2
    """Share of the training data that is held out to choose the learning rate."""
    budget: Literal["steps", "time"] = "steps"
    """What models have equally much of: 'steps', or training 'time', as measured first."""
    jobs: int = 1
    """Number of runs at the same time. The same command on another machine that shares the folder joins in."""
