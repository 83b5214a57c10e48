"""What is to be written, whatever the format.

Shapes: N pictures, C colour channels, H x W pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn

from atmnet.export.frame import Framed, Pixels, halved, random_images
from atmnet.export.plain.rewrite import exportable

#: Shape of the image that open sizes are traced at: H and W differ, and every stage has several tokens.
_TRACED = (2, 96, 128)
#: Of each output its open axes, by name.
Outputs = Mapping[str, Mapping[int, str]]


def as_it_is(model: nn.Module) -> nn.Module:
    """A network whose outputs are those of the file."""
    return model


@dataclass(frozen=True)
class Job:
    """What is to be written.

    Attributes:
        model: The eager model.
        config: timm's data configuration.
        pixels: What the file takes.
        precision: Of weights and products.
        dynamic: Whether batch, height and width are open.
        batch_size: Images in a call, where not.
        metadata: What the file says of itself.
        calibration: Pictures (N, C, H, W) as the file takes them, for int8.
        form: From the network in plain operations to what gives the outputs.
        outputs: Their names, in order.
        traced: Shape (B, H, W) of the images to trace with, where sizes are open. With a batch of 1 that stays fixed.
    """

    model: nn.Module
    config: dict[str, Any]
    pixels: Pixels
    precision: str
    dynamic: bool
    batch_size: int
    metadata: dict[str, str]
    calibration: np.ndarray | None
    form: Callable[[nn.Module], nn.Module] = as_it_is
    outputs: Outputs = field(default_factory=lambda: {"logits": {0: "batch"}})
    traced: tuple[int, int, int] = _TRACED

    def network(self) -> Framed:
        """The model in plain operations, with what stands around it."""
        plain = self.form(exportable(self.model))
        return Framed(halved(plain) if self.precision == "fp16" else plain, self.config, self.pixels).eval()

    def calibration_batches(self) -> np.ndarray:
        """The calibration's pictures as calls of the file: (N, B, C, H, W)."""
        assert self.calibration is not None
        size = 1 if self.dynamic else self.batch_size
        calls = -(-len(self.calibration) // size)
        shape = self.calibration.shape[1:]
        return np.resize(self.calibration, (calls * size, *shape)).reshape(calls, size, *shape)

    def example(self) -> Tensor:
        """Images to trace with."""
        channels, height, width = self.config["input_size"]
        batch, height, width = self.traced if self.dynamic else (self.batch_size, height, width)
        return random_images((batch, channels, height, width), self.pixels)
