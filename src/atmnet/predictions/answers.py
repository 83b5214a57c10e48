"""A prediction for one image as a line of text, as a record for JSON, and as a drawing.

Shapes: K classes; an image of H x W pixels.
"""

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from atmnet.predictions.canvas import scaled
from atmnet.predictions.detections import draw_detections
from atmnet.predictions.label_maps import draw_label_map

_MAX_CLASSES = 6
"""Maximum number of classes in a line of text."""

_MAX_CAPTIONS = 3
"""Maximum number of classes below a picture."""


@dataclass(frozen=True)
class Answer:
    """The prediction of a network for an image, in the forms that are shown and written.

    Attributes:
        text: One line, for a table.
        record: The prediction as JSON values.
        captions: Lines to show below the drawing.
        drawing: Makes the drawing for the length in pixels of its longer side, or for None; see :meth:`draw`.
        size: Width and height of the image in pixels.
    """

    text: str
    record: dict[str, Any]
    captions: list[str]
    drawing: Callable[[int | None], Image.Image]
    size: tuple[int, int]

    def __str__(self) -> str:
        return self.text

    def draw(self, side: int | None = None) -> Image.Image:
        """The image with the prediction drawn on it.

        Args:
            side: Longer side in pixels, without a legend below. Default: that of the image; small ones are enlarged.
        """
        return self.drawing(side)

    def _repr_png_(self) -> bytes:
        """The drawing, for notebooks."""
        buffer = io.BytesIO()
        self.draw().save(buffer, "PNG")
        return buffer.getvalue()


def ranking(image: Image.Image, logits: Tensor, classes: list[str], top: int) -> Answer:
    """The answer of a classifier with logits (K,): its ``top`` most probable classes."""
    best = logits.float().softmax(0).topk(min(top, len(classes)))
    pairs = [(classes[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]
    return Answer(
        "  ".join(f"{100 * p:5.1f} % {name}" for name, p in pairs),
        {"predictions": [{"class": name, "probability": p} for name, p in pairs]},
        [pairs[0][0], f"{100 * pairs[0][1]:.1f} %"],
        lambda side: _shown(image, side),
        image.size,
    )


def label_set(image: Image.Image, logits: Tensor, classes: list[str], threshold: float) -> Answer:
    """The answer of a classifier for sets of labels: the classes of at least a probability, the most probable first.

    Args:
        image: The image.
        logits: (K,), the output for it.
        classes: Names of the K classes.
        threshold: Minimum probability, 0 to 1.
    """
    ordered = logits.float().sigmoid().sort(descending=True, stable=True)
    pairs = [
        (classes[i], p)
        for i, p in zip(ordered.indices.tolist(), ordered.values.tolist(), strict=True)
        if p >= threshold
    ]
    texts = [f"{100 * p:5.1f} % {name}" for name, p in pairs]
    more = [f"and {len(pairs) - _MAX_CLASSES} more"] if len(pairs) > _MAX_CLASSES else []
    captions = [f"and {len(pairs) - _MAX_CAPTIONS} more"] if len(pairs) > _MAX_CAPTIONS else []
    return Answer(
        "  ".join(texts[:_MAX_CLASSES] + more) or "no class",
        {"predictions": [{"class": name, "probability": p} for name, p in pairs]},
        [name for name, _ in pairs[:_MAX_CAPTIONS]] + captions or ["no class"],
        lambda side: _shown(image, side),
        image.size,
    )


def _shown(image: Image.Image, side: int | None) -> Image.Image:
    """The image itself, smaller if it is larger than ``side``."""
    return image if side is None or max(image.size) <= side else scaled(image, side)[0]


def objects(image: Image.Image, found: dict[str, Tensor], classes: list[str], threshold: float) -> Answer:
    """The answer of a detector: the objects in ``found`` with a score of at least ``threshold``.

    Args:
        image: The image.
        found: The output for it; see ``DetectionTask.outputs``.
        classes: Names of the K classes.
        threshold: Minimum score, 0 to 1.
    """
    is_shown = found["scores"] >= threshold
    shown = {key: value[is_shown].cpu() for key, value in found.items()}
    names = [classes[label] for label in shown["labels"].tolist()]
    scores, boxes = shown["scores"].tolist(), shown["boxes"].tolist()
    counts = ", ".join(f"{count} {name}" for name, count in Counter(names).most_common(_MAX_CLASSES))
    noun = "object" if len(names) == 1 else "objects"
    return Answer(
        f"{len(names)} {noun}" + (f": {counts}" if names else ""),
        {
            "objects": [
                {"class": name, "score": score, "box": box}
                for name, score, box in zip(names, scores, boxes, strict=True)
            ]
        },
        [f"{len(names)} {noun}"],
        lambda side: draw_detections(
            image, shown["boxes"], shown["labels"], shown["scores"], shown.get("masks"), classes, side
        ),
        image.size,
    )


def regions(image: Image.Image, label_map: Tensor, classes: list[str]) -> Answer:
    """The answer of a segmenter with a label map (H, W): the fraction of the pixels that each class covers."""
    label_map = label_map.cpu()
    shares = torch.bincount(label_map.flatten(), minlength=len(classes)) / label_map.numel()
    order = [i for i in shares.argsort(descending=True, stable=True).tolist() if shares[i] > 0]
    text = "  ".join(f"{100 * shares[i]:5.1f} % {classes[i]}" for i in order[:_MAX_CLASSES])
    return Answer(
        text,
        {"regions": [{"class": classes[i], "share": shares[i].item()} for i in order]},
        [classes[order[0]], f"{100 * shares[order[0]]:.1f} %"],
        lambda side: draw_label_map(image, label_map, classes, side),
        image.size,
    )
