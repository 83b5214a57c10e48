"""What the files of segmenters and detectors share: their configuration, and how a picture becomes their input."""

from collections.abc import Callable

import numpy as np
from PIL import Image
from torch import Tensor

from atmnet.export.settings import Pixels
from atmnet.export.subject import DenseConfig
from atmnet.tasks import DenseNetwork
from atmnet_runtime import Array

#: The mean or the standard deviation of each channel.
Normalisation = tuple[float, ...]


def dense_config(network: DenseNetwork, side: int, shorter: int, longest: int, *, raw: bool) -> DenseConfig:
    """The configuration of a file for square images of ``side`` pixels; see :class:`DenseConfig`."""
    return {
        "input_size": (3, side, side), "mean": network.config["mean"], "std": network.config["std"],
        "shorter": shorter, "longest": longest, "head": network.options.head, "raw": raw,
        "category_ids": network.category_ids,
    }  # fmt: skip


def preparation(
    resize: Callable[[Image.Image, Normalisation, Normalisation], Tensor], config: DenseConfig, pixels: Pixels
) -> Callable[[Image.Image, bool], Array]:
    """(picture, fixed) -> the picture as a file takes it, (3, H, W).

    Args:
        resize: (picture, mean, std) -> the picture (3, H, W), resized and normalised as in an evaluation.
        config: Size, mean and standard deviation.
        pixels: What the file takes.
    """
    mean, std = (config["mean"], config["std"]) if pixels == "normalised" else ((0.0,) * 3, (1.0,) * 3)

    def prepare(image: Image.Image, fixed: bool) -> Array:
        if fixed:
            _, height, width = config["input_size"]
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        values: Array = resize(image, mean, std).numpy()
        return (255 * values).round().astype(np.uint8) if pixels == "uint8" else values

    return prepare
