"""What all detectors of torchvision share, in plain operations, for one image.

The number of rows is fixed: rows that stand for no object have a score of 0.

Shapes: B images of H x W pixels, a level of h x w tokens with A anchors each, R boxes x0 y0 x1 y1.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: The score of rows that stand for no object.
OUT = 0.0


def padded(image: Tensor, divisor: int) -> Tensor:
    """Pad an image with zeros to the right and below to multiples of ``divisor``, as torchvision does."""
    return F.pad(image, (0, -image.shape[3] % divisor, 0, -image.shape[2] % divisor))


class LevelAnchors(nn.Module):
    """torchvision's anchors of a level: map (B, C, h, w) of an image (B, 3, H, W) -> (h * w * A, 4)."""

    cells: Tensor

    def __init__(self, generator: Any, level: int) -> None:
        super().__init__()
        self.register_buffer("cells", generator.cell_anchors[level].clone().float())

    def forward(self, image: Tensor, level: Tensor) -> Tensor:
        y, x = (
            torch.arange(level.shape[axis], dtype=self.cells.dtype) * (image.shape[axis] // level.shape[axis])
            for axis in (2, 3)
        )
        down, right = torch.tensor([0.0, 1.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 1.0, 0.0])
        return (y.view(-1, 1, 1, 1) * down + x.view(-1, 1, 1) * right + self.cells).view(-1, 4)


def best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` largest of scores (R,) and their rows; if there are fewer, then row 0 with a score of 0."""
    values, rows = torch.cat([scores, scores.new_full((count,), OUT)]).topk(count)
    return values, torch.where(values > OUT, rows, 0)


def clipped(boxes: Tensor, image: Tensor) -> Tensor:
    """Boxes (R, 4), clipped to an image (B, C, H, W)."""
    edge = torch.full((), image.shape[3], dtype=boxes.dtype), torch.full((), image.shape[2], dtype=boxes.dtype)
    return boxes.clamp(min=0).minimum(torch.stack([*edge, *edge]))


def large(boxes: Tensor, least: float) -> Tensor:
    """Whether each box (.., 4) is at least ``least`` wide and high: (..,)."""
    return ((boxes[..., 2:] - boxes[..., :2]) >= least).all(-1)
