"""The section with the images in which a detector missed or invented the most objects: truth beside answer.

Shapes: N detections and M labelled objects in an image of H x W pixels.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import torch
from PIL import Image
from torch import Tensor

from atmnet.data import to_8_bits
from atmnet.data.targets import DetectionTarget
from atmnet.predictions.colours import Colour
from atmnet.report.content import percent
from atmnet.report.overlay import Region, overlay_uri, picture_svg, region, store, thumbnail
from atmnet.report.pictures import data_uri
from atmnet.tasks.matching import MIN_IOU, MIN_SCORE, match

RIGHT: Colour = (111, 195, 255)
WRONG: Colour = (255, 166, 77)
"""The colours of report.css for objects that were found, and for those that were missed or invented."""

_MAX_MASKS = 30


@dataclass(frozen=True)
class DetectedImage:
    """An image with its labelled objects and the detector's answer; see ``DetectionTask.outputs``."""

    name: str
    image: Image.Image
    target: DetectionTarget
    output: dict[str, Tensor]


def worst_objects_section(images: Iterator[DetectedImage], classes: list[str], missed: int, invented: int) -> str:
    """HTML of the section.

    Args:
        images: The worst images, the worst first; only one is in memory at a time.
        classes: Names of the classes.
        missed: Number of missed objects in all evaluated images.
        invented: Number of invented objects.
    """
    pictures: list[tuple[str, Image.Image, str]] = []
    figures = []
    for number, shown in enumerate(images):
        small = thumbnail(to_8_bits(shown.image))
        pictures.append((f"w{number}", small, data_uri(small)))
        figures.append(_figure(f"w{number}", shown, classes))
    if figures:
        lead = (
            f"{missed:,} labelled objects were missed and {invented:,} were invented. Here are {len(figures)} images, "
            "those with the most first: the labels on the left, the answer on the right."
        )
    else:
        lead = "There are none: every labelled object was found, and no other."
    return (
        f'<section id="mistakes"><h2>Worst images</h2><p class="lead">{lead}</p>{_KEY if figures else ""}'
        f'{store(pictures)}<div class="worst-images">{"".join(figures)}</div></section>'
    )


_KEY = (
    '<p class="key"><i class="found"></i> found <i class="lost"></i> missed, or invented (dashed). An object is found '
    f"if a detection of its class with a score of at least {100 * MIN_SCORE:.0f}\u202f% covers it with an IoU of at "
    f"least {MIN_IOU:.2f}.</p>"
)


def _figure(name: str, shown: DetectedImage, classes: list[str]) -> str:
    matches = match(shown.output, shown.target)
    target, output = shown.target.to("cpu"), {key: value.cpu() for key, value in shown.output.items()}
    objects = (~target.crowd).nonzero().flatten()
    answered = (matches.right | matches.invented).nonzero().flatten()
    true_names = [classes[k] for k in target.labels[objects].tolist()]
    answers = [
        f"{classes[k]} {percent(score)}"
        for k, score in zip(output["labels"][answered].tolist(), output["scores"][answered].tolist(), strict=True)
    ]
    size = shown.image.size
    has_masks = "masks" in output and target.masks.shape[1:] == (size[1], size[0])
    true = _panel(
        name, size, "labels", target.boxes[objects], true_names, matches.missed[objects],
        target.masks[objects] if has_masks else None,
    )  # fmt: skip
    answer = _panel(
        name, size, "answer", output["boxes"][answered].float(), answers, matches.invented[answered],
        output["masks"][answered] if has_masks else None,
    )  # fmt: skip
    errors = [
        _list("missed", target.labels[matches.missed], classes),
        _list("invented", output["labels"][matches.invented], classes),
    ]
    return (
        f'<figure><div class="panels">{true}{answer}</div><figcaption><p class="file">{escape(shown.name)}</p>'
        f"<p>{' · '.join(filter(None, errors))}</p></figcaption></figure>"
    )


def _list(verb: str, labels: Tensor, classes: list[str]) -> str:
    counts = Counter(labels.tolist()).most_common()
    names = ", ".join(f"{n}\u202f×\u202f{escape(classes[k])}" if n > 1 else escape(classes[k]) for k, n in counts)
    return f"<span>{verb}</span> {names}" if counts else ""


def _panel(
    name: str,
    size: tuple[int, int],
    title: str,
    boxes: Tensor,
    texts: list[str],
    is_wrong: Tensor,
    masks: Tensor | None,
) -> str:
    """The picture with boxes (N, 4), their texts, and masks (N, H, W) or (N, 1, H, W); wrong ones are dashed."""
    width, height = size
    wrong = is_wrong.tolist()
    overlay = ""
    if masks is not None and len(masks):
        overlay = overlay_uri([_region(mask, w) for mask, w in zip(masks[:_MAX_MASKS], wrong, strict=False)])
    shapes, tags = "", ""
    for box, text, w in zip(boxes.tolist(), texts, wrong, strict=True):
        x0, x1 = (min(max(x, 0.0), float(width)) for x in (box[0], box[2]))
        y0, y1 = (min(max(y, 0.0), float(height)) for y in (box[1], box[3]))
        kind = "lost" if w else "found"
        path = f"M{x0:.1f} {y0:.1f}H{x1:.1f}V{y1:.1f}H{x0:.1f}z"
        shapes += f'<path class="halo" d="{path}"/><path class="{kind}" d="{path}"/>'
        side = f"left:{100 * x0 / width:.1f}%" if x0 + x1 < width else f"right:{100 - 100 * x1 / width:.1f}%"
        place = f"bottom:{100 - 100 * y0 / height:.1f}%" if y0 > 0.12 * height else f"top:{100 * y0 / height:.1f}%"
        tags += f'<span class="tag {kind}" style="{side};{place}">{escape(text)}</span>'
    label = escape(f"{title}: {', '.join(texts) or 'no object'}")
    return f'<div class="panel">{picture_svg(name, size, overlay, label)}{shapes}</svg>{tags}</div>'


def _region(mask: Tensor, is_wrong: bool) -> Region:
    pixels = mask.reshape(mask.shape[-2:])
    return region((pixels > 0.5 if pixels.dtype != torch.bool else pixels).numpy(), WRONG if is_wrong else RIGHT)
