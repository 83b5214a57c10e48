"""Digits pasted on photographs, computed with integers, so that the pixels are the same on every machine.

Shapes: H x W pixels of a picture, h x w pixels of a digit.
"""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atmnet.data.generated import GeneratedOptions
from atmnet.data.scene_material import EDGE, MARGIN, require_packages
from atmnet_cli.errors import UserError

#: Upper limit of a digit's length with its soft edge, as a multiple of its nominal length.
EDGE_FACTOR = 1.25
#: Smallest length of a digit's longer side that is still legible, in pixels.
MIN_LENGTH = 8


@dataclass(frozen=True)
class DigitOptions(GeneratedOptions):
    """Options of pictures in which digits are pasted on photographs.

    Attributes:
        digit_sizes: Minimum and maximum length of a digit's longer side, in pixels; at most 0.8 of the picture's
            shorter side. Default: by the picture's size; see ``lengths``.
        contrast: Minimum and maximum difference between the luminance of a digit and that of its background, in levels
            of 255; the standard deviation of the background is added to it.
    """

    digit_sizes: tuple[int, int] | None = None
    contrast: tuple[int, int] = (50, 130)

    def __post_init__(self) -> None:
        require_packages()
        super().__post_init__()
        check_range("digit_sizes", MIN_LENGTH, self.lengths)
        check_range("contrast", 0, self.contrast)
        height, width = self.size
        longest = int(min(self.size) / EDGE_FACTOR)
        if self.lengths[1] > longest:
            raise UserError(
                f"data.kwargs: digit_sizes: digits of up to {self.lengths[1]} pixels do not fit pictures of "
                f"{height}x{width}; expected at most {longest}"
            )

    @property
    def lengths(self) -> tuple[int, int]:
        """Minimum and maximum length of a digit, in pixels."""
        raise NotImplementedError


def check_range(name: str, limit: int, values: tuple[int, int]) -> None:
    """Check an argument that is a range.

    Raises:
        UserError: If it is not limit <= minimum <= maximum.
    """
    low, high = values
    if not limit <= low <= high:
        raise UserError(f"data.kwargs: {name}: got {values}, expected {limit} <= minimum <= maximum")


def log_uniform(rng: random.Random, low: int, high: int) -> int:
    """A random integer from low to high, uniform on a logarithmic scale."""
    return min(high, int(low * ((high + 1) / low) ** rng.random()))


def background(rng: random.Random, photographs: list[Image.Image], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A random crop of a photograph, (H, W, 3), mirrored half of the time."""
    height, width = size
    photograph = rng.choice(photographs)
    max_zoom = min(photograph.width / width, photograph.height / height)
    zoom = min(max_zoom, 1 + 1.5 * rng.random())
    across, down = min(zoom * width, photograph.width), min(zoom * height, photograph.height)
    x0, y0 = rng.random() * (photograph.width - across), rng.random() * (photograph.height - down)
    box = (x0, y0, min(x0 + across, photograph.width), min(y0 + down, photograph.height))
    crop = np.array(photograph.resize((width, height), Image.Resampling.BILINEAR, box))
    return np.ascontiguousarray(crop[:, ::-1]) if rng.random() < 0.5 else crop


def resize_ink(ink: Image.Image, length: int) -> NDArray[np.int32]:
    """Opacity (h, w), 0 to 255, of a digit whose longer side is ``length`` pixels; its edges are a few pixels wide."""
    factor = length / (max(ink.size) - 2 * MARGIN)
    grey = np.asarray(ink.resize((round(ink.width * factor), round(ink.height * factor)), Image.Resampling.BICUBIC))
    steepness = max(3, min(8, length // 6))
    alpha = np.clip((grey.astype(np.int32) - EDGE) * steepness // 2 + 128, 0, 255)
    rows, columns = alpha.any(1).nonzero()[0], alpha.any(0).nonzero()[0]
    return alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def paste(rng: random.Random, canvas: NDArray[np.uint8], alpha: NDArray[np.int32], contrast: tuple[int, int]) -> None:
    """Paste a digit on ``canvas`` (h, w, 3), lighter or darker than the background by a random contrast."""
    grey = _luminance(canvas[alpha > 127].astype(np.int32))
    mean, spread = int(grey.mean()), int(grey.std())
    gap = rng.randint(*contrast) + spread
    can_be_lighter, can_be_darker = mean + gap <= 255, mean - gap >= 0
    if can_be_lighter == can_be_darker:
        is_lighter = rng.random() < 0.5 if can_be_lighter else mean < 128
    else:
        is_lighter = can_be_lighter
    level = mean + gap if is_lighter else mean - gap
    tint = np.array([rng.randint(-70, 70) for _ in range(3)], np.int32)
    colour = np.clip(tint - _luminance(tint) + level, 0, 255)
    opacity = alpha[:, :, None]
    canvas[:] = (canvas.astype(np.int32) * (255 - opacity) + colour * opacity + 127) // 255


def _luminance(rgb: NDArray[np.int32]) -> NDArray[np.int32]:
    return (rgb @ np.array([77, 150, 29], np.int32)) // 256
