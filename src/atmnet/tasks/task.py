"""The interface of tasks and networks that the engine uses.

A *kind* is classification, multilabel (classification into sets), detection or segmentation; a *head* is built on the
backbone and belongs to one kind (see :mod:`atmnet.tasks.heads`); a *task* is a network together with its data, its loss
and its metric.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from atmnet.data import Collate, Split, Transform
from atmnet.models.create import DataConfig
from atmnet_cli.options import DataOptions, Kind

__all__ = ["Kind", "Meter", "Network", "Result", "Task"]


class Network(Protocol):
    """A model with everything that its checkpoints contain.

    Attributes:
        model: The model.
        classes: Class names, without background.
        config: timm's data configuration of the model or of its backbone.
        exported: Whether the model runs an exported file.
        range: The values that become black and white in grey pictures of more than 8 bits; see ``data.range``.
    """

    model: nn.Module
    classes: list[str]
    config: DataConfig
    exported: bool
    range: tuple[float, float] | None

    @property
    def kind(self) -> Kind:
        """'classification', 'multilabel', 'detection' or 'segmentation'."""

    @property
    def name(self) -> str:
        """Architecture, and the head of a detector or segmenter."""

    @property
    def category_ids(self) -> list[int]:
        """Category ids of the classes in COCO files; 1 to K if the data set has none."""

    def write_config(self, path: Path) -> None:
        """Write what :func:`atmnet.tasks.load_task` needs besides the weights, as JSON."""


class Result(Protocol):
    """The result of an evaluation."""

    @property
    def metrics(self) -> dict[str, float]:
        """All numbers, by their names in metrics.jsonl."""

    @property
    def score(self) -> float:
        """The number that checkpoints are compared by; larger is better."""

    @property
    def text(self) -> str:
        """The main metrics in one line."""


class Meter(Protocol):
    """Accumulates the batches of an evaluation."""

    def update(self, outputs: Any, targets: Any, first: int, stride: int = 1) -> None:
        """Add a batch; its sample i has the index ``first + i * stride`` in the data set."""

    def result(self) -> Result:
        """The result over all processes. Every process must call this, and only once."""


class Task(Protocol):
    """A network with the data that it takes, its loss and its metric.

    Attributes:
        score_name: Name of :attr:`Result.score`.
        pairs: Whether batches must be of even size.
    """

    score_name: str
    pairs: bool

    @property
    def network(self) -> Network:
        """The network."""

    def open(self, data: DataOptions, split: str) -> Split:
        """A split of a data set whose classes are the network's."""

    def train_transform(self) -> Transform:
        """(picture, target) -> the input and target of a training sample, changed at random."""

    def eval_transform(self) -> Transform:
        """(picture, target) -> the input and target of an evaluation sample."""

    @property
    def train_collate(self) -> Collate:
        """Training samples -> a batch as :meth:`mix` and :meth:`loss` take it; picklable."""

    @property
    def eval_collate(self) -> Collate:
        """Evaluation samples -> a batch as :meth:`outputs` and the meter take it."""

    def mix(self, images: Any, targets: Any) -> tuple[Any, Any]:
        """Combine the images of a batch with each other at random."""

    def loss(self, model: Callable[..., Any], images: Any, targets: Any, seeds: Sequence[int]) -> Tensor:
        """The loss of a batch, scaled so that its mean over processes is the loss of all their images as one batch.

        Args:
            model: The network's model, or a wrapper of it.
            images: The images of the batch, on the model's device.
            targets: Their targets, on the model's device.
            seeds: A seed for each image, for random sampling in the loss.
        """

    def outputs(self, model: nn.Module, images: Any, targets: Any) -> Any:
        """The outputs of ``model`` for a batch, as the meter takes them."""

    def meter(self, device: torch.device) -> Meter:
        """A new meter."""

    def empty_target(self, image: Image.Image) -> Any:
        """A placeholder target, to compute outputs for a picture without labels."""
