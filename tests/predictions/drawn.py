"""Made-up objects, and pixels of what is drawn."""

import numpy as np
import torch
from PIL import Image

CLASSES = ["cup", "spoon", "plate"]


def grey(width: int = 800, height: int = 600) -> Image.Image:
    return Image.new("RGB", (width, height), (128, 128, 128))


def found(boxes, labels, scores=None, masks=None):
    """As a detector gives it."""
    output = {
        "boxes": torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "scores": torch.tensor(scores if scores is not None else [0.9] * len(labels)),
    }
    return output if masks is None else {**output, "masks": masks}


def filled(boxes, width: int = 800, height: int = 600) -> torch.Tensor:
    """Masks (N, 1, H, W) that fill their boxes, as probabilities."""
    masks = torch.full((len(boxes), 1, height, width), 0.2)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[0, y0:y1, x0:x1] = 0.8
    return masks


def where(image: Image.Image, colour) -> np.ndarray:
    """Rows and columns of the pixels of a colour: (N, 2)."""
    return np.argwhere((np.asarray(image) == colour).all(-1))


def corners(pixels: np.ndarray) -> list[int]:
    """x0 y0 x1 y1 around pixels."""
    (y0, x0), (y1, x1) = pixels.min(0).tolist(), pixels.max(0).tolist()
    return [x0, y0, x1, y1]
