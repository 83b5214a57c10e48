"""How a segmenter sees an image: whole or by overlapping windows, at several sizes and mirrored.

Shapes: C channels, K classes, H x W pixels of the image; a model takes (B, C, H, W) and gives logits (B, K, H, W).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atmnet_cli.errors import UserError

Logits = Callable[[Tensor], Tensor]
"""Of an image (C, H, W): logits (K, H, W)."""


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
    """Probabilities of the classes (K, h, w), in float32, of an image (C, H, W) as the model takes it.

    Args:
        size: Height h and width w of what is returned.
        window: Side of square windows; default the whole image at once.
        stride: Distance of windows; default two thirds of one.
        scales: Sizes of the image to average over, as multiples of its own.
        flip: Average over the mirrored image, too.

    Raises:
        UserError: For a window, stride or scale that is not positive, or a stride that leaves gaps between windows.
    """
    check(window, stride, scales)

    def logits(x: Tensor) -> Tensor:
        return whole(model, x) if window is None else sliding(model, x, window, stride or max(1, 2 * window // 3))

    return multi_scale(logits, image, size, scales, flip)


def check(window: int | None, stride: int | None, scales: Sequence[float]) -> None:
    """Check the arguments of :func:`segment`; see there."""
    if window is not None and window < 1:
        raise UserError(f"windows.window: got {window}, expected at least 1 pixel")
    if stride is not None:
        if window is None:
            raise UserError(f"windows.stride: got {stride} without windows.window, the side of the windows to move")
        if not 1 <= stride <= window:
            raise UserError(f"windows.stride: got {stride}, expected 1 to {window}, the side of a window")
    if not scales or min(scales) <= 0:
        raise UserError(f"windows.scales: got {tuple(scales)}, expected at least one, and positive numbers")


def whole(model: nn.Module, image: Tensor) -> Tensor:
    """Logits (K, H, W), in float32, of an image (C, H, W) at once."""
    return model(image.unsqueeze(0))[0].float()


def sliding(model: nn.Module, image: Tensor, window: int, stride: int) -> Tensor:
    """Logits (K, H, W) of an image (C, H, W): the mean over all windows that see a pixel, one at a time.

    The last window of a row or column ends at the image's edge. An image smaller than a window is first padded with
    zeros, the mean of normalised images, to the right and below.
    """
    height, width = image.shape[-2:]
    padded = F.pad(image, (0, max(0, window - width), 0, max(0, window - height)))
    total: Tensor | None = None
    seen = padded.new_zeros(padded.shape[-2:], dtype=torch.float32)
    for top in _starts(padded.shape[-2], window, stride):
        for left in _starts(padded.shape[-1], window, stride):
            place = (..., slice(top, top + window), slice(left, left + window))
            logits = whole(model, padded[place])
            if total is None:
                total = logits.new_zeros(len(logits), *padded.shape[-2:])
            total[place] += logits
            seen[place] += 1
    assert total is not None
    return (total / seen)[..., :height, :width]


def _starts(length: int, window: int, stride: int) -> list[int]:
    last = length - window
    return [*range(0, last, stride), last]


def multi_scale(
    logits: Logits, image: Tensor, size: tuple[int, int], scales: Sequence[float] = (1.0,), flip: bool = False
) -> Tensor:
    """Mean probabilities (K, h, w), for ``size`` = (h, w), of an image (C, H, W) at several sizes and mirrored."""
    total: Tensor | None = None
    for scale in scales:
        sides = (max(1, round(image.shape[-2] * scale)), max(1, round(image.shape[-1] * scale)))
        scaled = _resized(image, sides, antialias=True)  # as images are resized in training
        for mirrored in (False, True) if flip else (False,):
            found = logits(scaled.flip(-1)).flip(-1) if mirrored else logits(scaled)
            probabilities = _resized(found, size).softmax(0)
            total = probabilities if total is None else total + probabilities
    assert total is not None
    return total / (len(scales) * (2 if flip else 1))


def _resized(x: Tensor, size: tuple[int, int], antialias: bool = False) -> Tensor:
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x.unsqueeze(0), size, mode="bilinear", align_corners=False, antialias=antialias)[0]
