"""What is written, whatever the format.

Shapes: N pictures, B images, C colour channels, H x W pixels.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from atmnet.export.frame import Framed, halved
from atmnet.export.plain.rewrite import exportable
from atmnet.export.settings import ExportSettings
from atmnet.export.subject import Subject
from atmnet.export.verify import random_images
from atmnet_runtime import Array


@dataclass(frozen=True)
class Job:
    """What is written.

    Attributes:
        model: The eager model.
        subject: What is exported of it.
        settings: The settings, with ``dynamic`` only if the format can leave sizes open.
        metadata: The metadata of the file.
        calibration: Pictures (N, C, H, W) as the file takes them, for int8.
    """

    model: nn.Module
    subject: Subject
    settings: ExportSettings
    metadata: dict[str, str]
    calibration: Array | None

    def network(self) -> Framed:
        """The model in plain operations, from the pixels that the file takes to its outputs."""
        plain = self.subject.to_outputs(exportable(self.model))
        plain = halved(plain) if self.settings.precision == "fp16" else plain
        return Framed(plain, self.subject.config, self.settings.pixels).eval()

    def calibration_batches(self) -> Array:
        """The pictures for calibration as calls of the file, (calls, B, C, H, W); the last call repeats the first."""
        assert self.calibration is not None
        size = 1 if self.settings.dynamic else self.settings.batch_size
        calls = -(-len(self.calibration) // size)
        shape = self.calibration.shape[1:]
        return np.resize(self.calibration, (calls * size, *shape)).reshape(calls, size, *shape)

    def example(self) -> Tensor:
        """Images (B, C, H, W) to trace with."""
        channels, height, width = self.subject.config["input_size"]
        shape = self.subject.traced if self.settings.dynamic else (self.settings.batch_size, height, width)
        return random_images((shape[0], channels, *shape[1:]), self.settings.pixels)
