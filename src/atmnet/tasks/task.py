"""What the engine asks of a task, and which task a head stands for."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch
from PIL import Image
from torch import Tensor, nn

from atmnet.data import Split
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions, Head

DETECTORS = ("retinanet", "retinanet_v2", "fcos", "faster_rcnn", "mask_rcnn", "cascade_mask_rcnn")
SEGMENTERS = ("semantic_fpn", "upernet")


class Network(Protocol):
    """A model with all that its checkpoints carry: class names, and how images come in."""

    model: nn.Module
    classes: list[str]
    config: dict[str, Any]  # timm's data configuration: input_size, mean, std, interpolation, ...

    def write_config(self, path: Path) -> None:
        """Write what :func:`atmnet.tasks.load_task` needs besides the weights, as JSON."""


class Result(Protocol):
    """What an evaluation found."""

    @property
    def metrics(self) -> dict[str, float]:
        """All numbers, by the names that they have in metrics.jsonl."""

    @property
    def score(self) -> float:
        """The number by which checkpoints are compared; larger is better."""

    @property
    def text(self) -> str:
        """One line for people."""


class Meter(Protocol):
    """Gathers what an evaluation's result follows from."""

    def update(self, outputs: Any, targets: Any, first: int, stride: int = 1) -> None:
        """Add a batch; sample i of it is number ``first + i * stride`` of the data set."""

    def result(self) -> Result:
        """The result over all processes; to be asked for once, by all of them."""


class Task(Protocol):
    """A network with what it learns from, by which loss, and how that is measured."""

    score_name: str
    pairs: bool  # whether batches must be of even size

    @property
    def network(self) -> Network:
        """The network."""

    def open(self, data: DataOptions, split: str) -> Split:
        """A split of a data set whose classes are the network's."""

    def train_transform(self) -> Callable[[Any, Any], tuple[Tensor, Any]]:
        """(picture, target) -> what the loss takes, changed at random."""

    def eval_transform(self) -> Callable[[Any, Any], tuple[Tensor, Any]]:
        """(picture, target) -> what the outputs are asked for and compared with."""

    def mix(self, images: Any, targets: Any) -> tuple[Any, Any]:
        """Change a whole batch at random."""

    def loss(self, model: Callable[..., Any], images: Any, targets: Any, seeds: Sequence[int]) -> Tensor:
        """The loss of a batch, such that its mean over processes is that of all their images as one batch.

        Args:
            model: The network's model, or a wrapper of it.
            images, targets: The batch, on the model's device.
            seeds: A seed for each image, for what is drawn inside the loss.
        """

    def outputs(self, model: nn.Module, images: Any, targets: Any) -> Any:
        """What ``model`` says to a batch, for the meter."""

    def meter(self, device: torch.device) -> Meter:
        """A new meter."""

    def unknown(self, image: Image.Image) -> Any:
        """A target for a picture of which nothing is known, to ask for outputs of it."""


def kind_of(head: str) -> Literal["classification", "detection", "segmentation"]:
    """'classification', 'detection' or 'segmentation'.

    Raises:
        UserError: For an unknown head.
    """
    if head in DETECTORS:
        return "detection"
    if head in SEGMENTERS:
        return "segmentation"
    if head == "classifier":
        return "classification"
    raise UserError(f"model.head: got {head!r}, expected one of {', '.join(get_args(Head))}")
