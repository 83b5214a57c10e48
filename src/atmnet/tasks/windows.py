"""Inference of segmenters: on the whole image or on overlapping windows, at several scales and mirrored.

Shapes: C channels, K classes, H x W pixels of the image; a model maps (B, C, H, W) to logits (B, K, H, W).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atmnet_cli.errors import UserError

Logits = Callable[[Tensor], Tensor]
"""Image (C, H, W) -> logits (K, H, W)."""


@torch.no_grad()
def segment(
    model: nn.Module,
    image: Tensor,
    *,
    size: tuple[int, int],
    window: int | None = None,
    stride: int | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> Tensor:
    """Class probabilities (K, h, w), in float32, of a preprocessed image (C, H, W).

    Args:
        size: Height h and width w of the result.
        window: Side of square windows in pixels; by default, the whole image at once.
        stride: Distance between windows in pixels; by default, two thirds of a window.
        scales: Sizes of the image to average over, relative to its own.
        flip: Average also over the mirrored image.

    Raises:
        UserError: If window, stride or a scale is not positive, or the stride leaves gaps between windows.
    """
    check_windows(window, stride, scales)

    def logits(x: Tensor) -> Tensor:
        if window is None:
            return whole_image_logits(model, x)
        return sliding_window_logits(model, x, window, stride or max(1, 2 * window // 3))

    return multi_scale_probabilities(logits, image, size, scales, flip)


def check_windows(window: int | None, stride: int | None, scales: Sequence[float]) -> None:
    """Check these arguments of :func:`segment`, and raise its errors."""
    if window is not None and window < 1:
        raise UserError(f"windows.window: got {window}, expected at least 1 pixel")
    if stride is not None:
        if window is None:
            raise UserError(f"windows.stride: got {stride} without windows.window; set windows.window, too")
        if not 1 <= stride <= window:
            raise UserError(f"windows.stride: got {stride}, expected 1 to {window}, the side of a window")
    if not scales or min(scales) <= 0:
        raise UserError(f"windows.scales: got {tuple(scales)}, expected one or more positive numbers")


def whole_image_logits(model: nn.Module, image: Tensor) -> Tensor:
    """Logits (K, H, W), in float32, of an image (C, H, W) in one forward pass."""
    logits: Tensor = model(image.unsqueeze(0))[0]
    return logits.float()


def sliding_window_logits(model: nn.Module, image: Tensor, window: int, stride: int) -> Tensor:
    """Logits (K, H, W) of an image (C, H, W): for each pixel, the mean over all windows that contain it.

    Windows are computed one at a time. The last window of a row or column ends at the image's edge. An image smaller
    than a window is first padded on the right and below with zeros, the mean of normalised images.
    """
    height, width = image.shape[-2:]
    padded = F.pad(image, (0, max(0, window - width), 0, max(0, window - height)))
    total: Tensor | None = None
    counts = padded.new_zeros(padded.shape[-2:], dtype=torch.float32)
    for top in _starts(padded.shape[-2], window, stride):
        for left in _starts(padded.shape[-1], window, stride):
            region = (..., slice(top, top + window), slice(left, left + window))
            logits = whole_image_logits(model, padded[region])
            if total is None:
                total = logits.new_zeros(len(logits), *padded.shape[-2:])
            total[region] += logits
            counts[region] += 1
    assert total is not None
    return (total / counts)[..., :height, :width]


def _starts(length: int, window: int, stride: int) -> list[int]:
    last = length - window
    return [*range(0, last, stride), last]


def multi_scale_probabilities(
    logits: Logits, image: Tensor, size: tuple[int, int], scales: Sequence[float] = (1.0,), flip: bool = False
) -> Tensor:
    """Mean probabilities (K, h, w), for ``size`` = (h, w), of an image (C, H, W) at several sizes and mirrored."""
    total: Tensor | None = None
    for scale in scales:
        sides = (max(1, round(image.shape[-2] * scale)), max(1, round(image.shape[-1] * scale)))
        scaled = _resized(image, sides, antialias=True)  # as images are resized in training
        for mirrored in (False, True) if flip else (False,):
            predicted = logits(scaled.flip(-1)).flip(-1) if mirrored else logits(scaled)
            probabilities = _resized(predicted, size).softmax(0)
            total = probabilities if total is None else total + probabilities
    assert total is not None
    return total / (len(scales) * (2 if flip else 1))


def _resized(x: Tensor, size: tuple[int, int], antialias: bool = False) -> Tensor:
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x.unsqueeze(0), size, mode="bilinear", align_corners=False, antialias=antialias)[0]
