"""What is exported of a network, and how the file is checked: one record for each network, one for each kind.

Shapes: B images, C colour channels, H x W pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from PIL import Image
from torch import nn

from atmnet.export.settings import ExportSettings, Precision
from atmnet.export.verify import Comparison
from atmnet.models.create import DataConfig
from atmnet.tasks import Network
from atmnet_runtime import Array

#: The names of the outputs in order, each with the names of its open axes.
Outputs = Mapping[str, Mapping[int, str]]


class DenseConfig(TypedDict):
    """What the file of a segmenter or detector says about preprocessing and classes.

    Attributes:
        input_size: Channels, height and width.
        mean, std: Of each channel, in 0..1.
        shorter: Length that the shorter side of a picture is resized to, in pixels.
        longest: Length that the longer side may reach.
        head: Name of the head.
        raw: Whether the outputs are those of the head.
        category_ids: COCO's numbers of the classes.
    """

    input_size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shorter: int
    longest: int
    head: str
    raw: bool
    category_ids: list[int]


@dataclass(frozen=True)
class Subject:
    """What is exported of a network.

    Attributes:
        config: Preprocessing and size of the images; becomes metadata of the file.
        to_outputs: Turns the network in plain operations into a module whose outputs are those of the file.
        reference: Turns the eager model into a module with the same outputs, which the file is compared with.
        outputs: Names of the outputs in order, with names of their open axes.
        comparison: How the outputs are compared.
        traced: Shape (B, H, W) of the images to trace with if sizes are open. H and W differ, and every stage has
            several tokens. A batch of 1 stays fixed.
        prepare: (picture, fixed) -> the picture as the file takes it, (C, H, W). ``fixed`` asks for the size in
            ``config``.
        check: Refuses a model whose outputs are not those of its kind; takes the reference's outputs for one image.
    """

    config: DataConfig | DenseConfig
    to_outputs: Callable[[nn.Module], nn.Module]
    reference: Callable[[nn.Module], nn.Module]
    outputs: Outputs
    comparison: Comparison
    traced: tuple[int, int, int]
    prepare: Callable[[Image.Image, bool], Array]
    check: Callable[[list[Array]], None] | None = None

    @property
    def batched(self) -> bool:
        """Whether the file can take several images in a call."""
        return self.traced[0] > 1


@dataclass(frozen=True)
class TaskExport:
    """How networks of one kind are exported.

    Attributes:
        noun: What such a network is called in messages.
        describe: (network, settings) -> what is exported of the network. It raises a UserError for settings that the
            network does not take.
        tolerances: The precisions that the kind is written in, each with the largest difference from the eager model
            that passes by default. For fp32 this is the largest difference over the largest output (or over 1);
            otherwise it is the norm of the difference over the norm of the outputs.
        raw: Whether there are networks of this kind with raw outputs.
        pictures: How many pictures a file is compared on at most.
        pictures_per_call: How many of them go into a call whose batch is open.
    """

    noun: str
    describe: Callable[[Network, ExportSettings], Subject]
    tolerances: Mapping[Precision, float]
    raw: bool
    pictures: int
    pictures_per_call: int


def unchanged(model: nn.Module) -> nn.Module:
    """The model itself, for networks whose outputs are those of the file."""
    return model
