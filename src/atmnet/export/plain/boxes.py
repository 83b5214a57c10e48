"""Two operations on boxes whose results have a known size, and their translations to ONNX.

torchvision's suppression and pooling by levels return a number of rows that depends on the values, and exporters then
need to know what every later operation does with no rows. Here a suppressed row stays in its place and is marked.

Shapes: N sets of R boxes x0 y0 x1 y1, K classes, C channels, P x P cells of a box.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import nms, roi_align


@torch.library.custom_op("atmnet::suppress", mutates_args=())
def suppress(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Which boxes remain after non-maximum suppression in each class of each set.

    Args:
        boxes: (N, R, 4).
        scores: (N, K, R); boxes without a positive score are ignored.
        threshold: A box is suppressed if its IoU with a better box is larger.

    Returns:
        (N, K, R), bool.
    """
    kept = torch.zeros_like(scores, dtype=torch.bool)
    for n, of_set in enumerate(scores):
        for k, of_class in enumerate(of_set):
            known = (of_class > 0).nonzero().squeeze(1)
            kept[n, k, known[nms(boxes[n, known], of_class[known], threshold)]] = True
    return kept


@suppress.register_fake
def _(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


@torch.library.custom_op("atmnet::pool_boxes", mutates_args=())
def pool_boxes(
    maps: list[Tensor], boxes: Tensor, levels: Tensor, scales: list[float], size: int, sampling: int, aligned: bool
) -> Tensor:
    """RoIAlign of the boxes of one image, each in its own level.

    Args:
        maps: Levels (1, C, H_i, W_i).
        boxes: (R, 4), in pixels of the image.
        levels: (R,), indices of ``maps``.
        scales: Side of a pixel of the image in pixels of a level, for each level.
        size: Cells P.
        sampling: Samples for each axis of a cell.
        aligned: See torchvision's ``roi_align``.

    Returns:
        (R, C, P, P).
    """
    out = maps[0].new_zeros(len(boxes), maps[0].shape[1], size, size)
    for level, (level_map, scale) in enumerate(zip(maps, scales, strict=True)):
        here = (levels == level).nonzero().squeeze(1)
        out[here] = roi_align(level_map, [boxes[here]], size, scale, sampling, aligned)
    return out


@pool_boxes.register_fake
def _(
    maps: list[Tensor], boxes: Tensor, levels: Tensor, scales: list[float], size: int, sampling: int, aligned: bool
) -> Tensor:
    return maps[0].new_empty(boxes.shape[0], maps[0].shape[1], size, size)


def onnx_translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """The translations of both operations to operators of ONNX, for ``torch.onnx.export``."""
    from onnxscript import BOOL, FLOAT, INT64, opset20

    op: Any = opset20  # its annotations distinguish types of tensors; the exporter checks these

    def suppress_onnx(boxes: FLOAT, scores: FLOAT, threshold: float) -> BOOL:
        shape = op.Shape(scores)
        most = op.Gather(shape, op.Constant(value_ints=[2]))
        chosen = op.NonMaxSuppression(
            boxes, scores, most, op.Constant(value_floats=[threshold]), op.Constant(value_floats=[0.0])
        )
        ones = op.Expand(op.Constant(value_float=1.0), op.Shape(chosen, start=0, end=1))
        return op.Cast(op.ScatterND(op.Expand(op.Constant(value_float=0.0), shape), chosen, ones), to=9)  # bool

    def pool_boxes_onnx(
        maps: list[FLOAT],
        boxes: FLOAT,
        levels: INT64,
        scales: list[float],
        size: int,
        sampling: int,
        aligned: bool,
    ) -> FLOAT:
        cells = op.Constant(value_ints=[size, size])
        shape = op.Concat(op.Shape(boxes, start=0, end=1), op.Shape(maps[0], start=1, end=2), cells, axis=0)
        out = op.Expand(op.Constant(value_float=0.0), shape)
        for level, (level_map, scale) in enumerate(zip(maps, scales, strict=True)):
            rows = op.Transpose(op.NonZero(op.Equal(levels, op.Constant(value_int=level))), perm=[1, 0])
            here = op.Squeeze(rows, op.Constant(value_ints=[1]))
            image = op.Expand(op.Constant(value_int=0), op.Shape(here))
            pooled = op.RoiAlign(
                level_map, op.Gather(boxes, here, axis=0), image,
                coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
                output_height=size, output_width=size, sampling_ratio=sampling, spatial_scale=scale,
            )  # fmt: skip
            out = op.ScatterND(out, rows, pooled)
        return out

    return {
        torch.ops.atmnet.suppress.default: suppress_onnx,
        torch.ops.atmnet.pool_boxes.default: pool_boxes_onnx,
    }
