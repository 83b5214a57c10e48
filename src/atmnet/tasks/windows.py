"""Inference of segmenters: on the whole image or on overlapping windows, at several scales and mirrored.

Logits of many classes at the size of a photograph take gigabytes, so they are enlarged by stripes of rows.

Shapes: C channels, K classes, H x W pixels of the image; a model maps (B, C, H, W) to logits (B, K, H, W).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atmnet.tasks.segmenter import Segmenter
from atmnet_cli.errors import UserError

#: Elements of the logits of a stripe, 64 MB.
_STRIPE = 2**24


class Map(NamedTuple):
    """Logits that are computed by rows.

    Attributes:
        classes, height, width: K, and the size in pixels.
        rows: (first, end) -> logits (K, end - first, width) of the rows from ``first`` to before ``end``.
    """

    classes: int
    height: int
    width: int
    rows: Callable[[int, int], Tensor]


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
    maps = (resized_map(predicted, size) for predicted in _maps(model, image, window, stride, scales, flip))
    return _mean_probabilities(maps, 0, size[0])


@torch.no_grad()
def label_map(
    model: nn.Module,
    image: Tensor,
    *,
    size: tuple[int, int],
    window: int | None = None,
    stride: int | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> Tensor:
    """The most probable class of each pixel (h, w), with the arguments and errors of :func:`segment`.

    Of a :class:`Segmenter` the logits are kept as its head gives them, a sixteenth of the image's pixels, and
    enlarged by stripes. If there is more than one stripe, probabilities differ from those of :func:`segment` by
    rounding.
    """
    check_windows(window, stride, scales)
    arguments = (model, image, window, stride, scales, flip)
    if not isinstance(model, Segmenter) and (flip or len(scales) > 1):  # several maps of full size would take more
        return segment(model, image, size=size, window=window, stride=stride, scales=scales, flip=flip).argmax(0)
    maps = [resized_map(predicted, size) for predicted in _maps(*arguments)]
    pixels = max(size[0] * size[1], image.shape[-2] * image.shape[-1])
    step = max(1, _STRIPE * size[0] // (maps[0].classes * pixels))
    stripes = [
        _mean_probabilities(maps, first, min(first + step, size[0])).argmax(0) for first in range(0, size[0], step)
    ]
    return torch.cat(stripes)


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


def whole_image_map(model: nn.Module, image: Tensor) -> Map:
    """Logits of an image (C, H, W) in one forward pass, in float32."""
    if isinstance(model, Segmenter):
        enlarged = resized_map(_held(model(image.unsqueeze(0), enlarge=False)[0]), (image.shape[-2], image.shape[-1]))
        return enlarged._replace(rows=lambda first, end: enlarged.rows(first, end).float())
    logits: Tensor = model(image.unsqueeze(0))[0]
    return _held(logits.float())


def sliding_window_map(model: nn.Module, image: Tensor, window: int, stride: int) -> Map:
    """Logits of an image (C, H, W): for each pixel, the mean over all windows that contain it.

    Windows are computed one at a time. The last window of a row or column ends at the image's edge. An image smaller
    than a window is first padded on the right and below with zeros, the mean of normalised images.
    """
    height, width = image.shape[-2:]
    padded = F.pad(image, (0, max(0, window - width), 0, max(0, window - height)))
    tops, lefts = (_starts(length, window, stride) for length in padded.shape[-2:])
    predicted = (
        (top, left, whole_image_map(model, padded[..., top : top + window, left : left + window]))
        for top in tops
        for left in lefts
    )
    if isinstance(model, Segmenter):
        kept = list(predicted)
        return Map(
            kept[0][2].classes, height, width,
            lambda first, end: _mean_of_windows(kept, window, first, end, padded)[..., :width],
        )  # fmt: skip
    return _held(_mean_of_windows(predicted, window, 0, padded.shape[-2], padded)[..., :height, :width])


def _mean_of_windows(
    windows: Iterable[tuple[int, int, Map]], window: int, first: int, end: int, padded: Tensor
) -> Tensor:
    """The mean logits of rows of an image over the windows that contain them; ``windows`` are top, left and logits."""
    total: Tensor | None = None
    counts = padded.new_zeros(end - first, padded.shape[-1], dtype=torch.float32)
    for top, left, predicted in windows:
        start, stop = max(first, top), min(end, top + window)
        if start >= stop:
            continue
        logits = predicted.rows(start - top, stop - top)
        if total is None:
            total = logits.new_zeros(len(logits), *counts.shape)
        region = (..., slice(start - first, stop - first), slice(left, left + window))
        total[region] += logits
        counts[region] += 1
    assert total is not None
    return total.div_(counts)


def _starts(length: int, window: int, stride: int) -> list[int]:
    last = length - window
    return [*range(0, last, stride), last]


def _maps(
    model: nn.Module, image: Tensor, window: int | None, stride: int | None, scales: Sequence[float], flip: bool
) -> Iterator[Map]:
    """The logits at each scale, straight and mirrored."""
    for scale in scales:
        sides = (max(1, round(image.shape[-2] * scale)), max(1, round(image.shape[-1] * scale)))
        scaled = _resized(image, sides, antialias=True)  # as images are resized in training
        for mirrored in (False, True) if flip else (False,):
            x = scaled.flip(-1) if mirrored else scaled
            if window is None:
                predicted = whole_image_map(model, x)
            else:
                predicted = sliding_window_map(model, x, window, stride or max(1, 2 * window // 3))
            yield _mirrored(predicted) if mirrored else predicted


def _mean_probabilities(maps: Iterable[Map], first: int, end: int) -> Tensor:
    """The mean probabilities (K, end - first, width) of the rows of several maps."""
    total: Tensor | None = None
    count = 0
    for predicted in maps:
        probabilities = predicted.rows(first, end).softmax(0)
        total = probabilities if total is None else total.add_(probabilities)
        count += 1
    assert total is not None
    return total.div_(count)


def _held(logits: Tensor) -> Map:
    """Logits (K, H, W) in memory."""
    classes, height, width = logits.shape
    return Map(classes, height, width, lambda first, end: logits[:, first:end])


def _mirrored(predicted: Map) -> Map:
    return predicted._replace(rows=lambda first, end: predicted.rows(first, end).flip(-1))


def resized_map(source: Map, size: tuple[int, int]) -> Map:
    """Bilinear interpolation of a map: all rows as ``F.interpolate`` gives them, some of them up to rounding."""
    height, width = size
    if (source.height, source.width) == size:
        return source

    def rows(first: int, end: int) -> Tensor:
        if (first, end) == (0, height):
            return _resized(source.rows(0, source.height), size)
        places = ((torch.arange(first, end) + 0.5) * (source.height / height) - 0.5).clamp(min=0)
        start, stop = int(places[0]), min(int(places[-1]) + 2, source.height)
        logits = source.rows(start, stop)
        wide = _resized(logits.float(), (stop - start, width))
        upper = places.floor().long()
        lower = (upper + 1).clamp(max=source.height - 1)
        share = (places - upper).to(wide).unsqueeze(1)
        above, below = (wide[:, (index - start).to(wide.device)] for index in (upper, lower))
        return above.lerp_(below, share).to(logits.dtype)

    return Map(source.classes, height, width, rows)


def _resized(x: Tensor, size: tuple[int, int], antialias: bool = False) -> Tensor:
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x.unsqueeze(0), size, mode="bilinear", align_corners=False, antialias=antialias)[0]
