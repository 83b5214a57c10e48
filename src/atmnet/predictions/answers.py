"""What is told of a picture: by a line, by a record for programs, and by a drawing."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from atmnet.predictions.detections import draw_detections
from atmnet.predictions.label_maps import draw_label_map

_MOST = 6
"""Classes to name in a line."""


@dataclass(frozen=True)
class Answer:
    """What a network says to a picture.

    Attributes:
        text: For a table.
        record: For programs: what goes into JSON.
        captions: For below the drawing.
        draw: Makes the drawing.
        size: Width and height of the picture.
    """

    text: str
    record: dict[str, Any]
    captions: list[str]
    draw: Callable[[], Image.Image]
    size: tuple[int, int]


def ranking(image: Image.Image, logits: Tensor, classes: list[str], top: int) -> Answer:
    """Of a classifier: its ``top`` classes; logits (K,)."""
    best = logits.float().softmax(0).topk(min(top, len(classes)))
    pairs = [(classes[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]
    return Answer(
        "  ".join(f"{100 * p:5.1f} % {name}" for name, p in pairs),
        {"predictions": [{"class": name, "probability": p} for name, p in pairs]},
        [pairs[0][0], f"{100 * pairs[0][1]:.1f} %"],
        lambda: image,
        image.size,
    )


def objects(image: Image.Image, found: dict[str, Tensor], classes: list[str], threshold: float) -> Answer:
    """Of a detector: what it found with a score of at least ``threshold``; see ``DetectionTask.outputs``."""
    kept = found["scores"] >= threshold
    found = {key: value[kept].cpu() for key, value in found.items()}
    names = [classes[label] for label in found["labels"].tolist()]
    scores, boxes = found["scores"].tolist(), found["boxes"].tolist()
    counts = ", ".join(f"{count} {name}" for name, count in Counter(names).most_common(_MOST))
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
        lambda: draw_detections(image, found["boxes"], found["labels"], found["scores"], found.get("masks"), classes),
        image.size,
    )


def regions(image: Image.Image, label_map: Tensor, classes: list[str]) -> Answer:
    """Of a segmenter: the shares of the classes; label map (H, W)."""
    label_map = label_map.cpu()
    shares = torch.bincount(label_map.flatten(), minlength=len(classes)) / label_map.numel()
    order = [i for i in shares.argsort(descending=True, stable=True).tolist() if shares[i] > 0]
    text = "  ".join(f"{100 * shares[i]:5.1f} % {classes[i]}" for i in order[:_MOST])
    return Answer(
        text,
        {"regions": [{"class": classes[i], "share": shares[i].item()} for i in order]},
        [classes[order[0]], f"{100 * shares[order[0]]:.1f} %"],
        lambda: draw_label_map(image, label_map, classes),
        image.size,
    )
