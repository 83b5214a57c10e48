"""Draws detected objects on an image: boxes, masks, names.

Shapes: N objects in an image of H x W pixels.
"""

from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from torch import Tensor

from atmnet.predictions.canvas import lettering_for, scaled, with_legend
from atmnet.predictions.colours import Colour, class_colours, ink_on
from atmnet.predictions.lettering import Lettering

_MASK_OPACITY = 0.2

_SEPARATOR = " · "
_LABEL_PADDING = 10
"""Pixels of a label that are not text, left and right together."""

_Box = tuple[float, float, float, float]


def draw_detections(
    image: Image.Image,
    boxes: Tensor,
    labels: Tensor,
    scores: Tensor | None,
    masks: Tensor | None,
    classes: list[str],
    side: int | None = None,
) -> Image.Image:
    """Draw boxes and masks in the colours of their classes, each with its class and score, and a legend below.

    Small images are enlarged so that names are legible. Large objects are drawn first, below small ones. A mask is an
    outline with a light fill, so that what it covers stays visible.

    Args:
        image: The image, of any mode.
        boxes: (N, 4), x0 y0 x1 y1 in pixels of the image.
        labels: (N,), indices into ``classes``.
        scores: (N,), 0 to 1; None for labelled objects, which have none.
        masks: (N, 1, H, W) or (N, H, W), booleans, or probabilities, which are drawn where they exceed 0.5; or None.
        classes: Names of all classes. A class has the same colour in all images.
        side: Longer side of the drawing without its legend, in pixels; see :func:`~atmnet.predictions.canvas.scaled`.
    """
    colours = class_colours(len(classes))
    sheet, factor = scaled(image, side)
    boxes = (boxes.float().cpu() * factor).clamp(min=0)
    boxes = torch.minimum(boxes, torch.tensor([sheet.width - 1, sheet.height - 1]).repeat(2))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = areas.argsort(descending=True, stable=True).tolist()
    names = labels.tolist()
    line = max(2, round(max(sheet.size) / 350))
    if masks is not None:
        for i in order:
            _paint_mask(sheet, masks[i].reshape(masks.shape[-2:]).cpu(), factor, colours[names[i]], line)
    draw = ImageDraw.Draw(sheet)
    for i in order:
        x0, y0, x1, y1 = boxes[i].tolist()
        draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=(0, 0, 0), width=line + 2)
        draw.rectangle((x0, y0, x1, y1), outline=colours[names[i]], width=line)
    lettering = lettering_for(sheet)
    placed: list[_Box] = []
    by_score = range(len(names)) if scores is None else scores.argsort(descending=True, stable=True).tolist()
    for i in by_score:
        score = "" if scores is None else f"{_SEPARATOR}{100 * scores[i].item():.0f} %"
        name_width = round(sheet.width - lettering.length(score)) - _LABEL_PADDING
        text = f"{lettering.shorten(classes[names[i]], name_width)}{score}"
        label = _label_box(boxes[i].tolist(), text, lettering, placed, sheet.size)
        _draw_label(draw, label, text, colours[names[i]], lettering)
        placed.append(label)
    counts = Counter(names).most_common()
    return with_legend(sheet, [(colours[k], classes[k], f"({count})") for k, count in counts], lettering)


def _paint_mask(sheet: Image.Image, mask: Tensor, factor: float, colour: Colour, line: int) -> None:
    """Draw a mask (H, W) and its edge on ``sheet``, which is the image resized by ``factor``, with smooth borders."""
    rows, columns = ((mask > 0.5).any(axis).nonzero().flatten() for axis in (1, 0))
    if len(rows) == 0:
        return
    top, left = max(int(rows[0]) - 2, 0), max(int(columns[0]) - 2, 0)
    part = mask[top : int(rows[-1]) + 3, left : int(columns[-1]) + 3].float()[None, None]
    size = [max(1, round(length * factor)) for length in part.shape[-2:]]
    large = F.interpolate(part, size, mode="bilinear", align_corners=False)[0, 0]
    inside = Image.fromarray((large > 0.5).numpy().astype(np.uint8) * 255)
    edge = ImageChops.subtract(inside, inside.filter(ImageFilter.MinFilter(2 * (line // 2) + 1)))
    sheet.paste(
        Image.new("RGB", inside.size, colour),
        (round(left * factor), round(top * factor)),
        ImageChops.lighter(inside.point(lambda v: round(v * _MASK_OPACITY)), edge),
    )


def _label_box(box: list[float], text: str, lettering: Lettering, placed: list[_Box], size: tuple[int, int]) -> _Box:
    """The rectangle for the label of ``box``: inside the image, with the least overlap with the labels ``placed``."""
    width, height = lettering.length(text) + _LABEL_PADDING, round(1.2 * lettering.height)
    x0, y0, x1, y1 = box
    # In order of preference: above the box, in its upper part, below it, in its lower part; left before right.
    candidates = [
        (x, y, x + width, y + height)
        for y in (_clamp(top, size[1] - height) for top in (y0 - height, y0, y1, y1 - height))
        for x in (_clamp(left, size[0] - width) for left in (x0, x1 - width))
    ]
    return min(candidates, key=lambda candidate: sum(_overlap(candidate, other) for other in placed))


def _clamp(value: float, maximum: float) -> float:
    return max(0.0, min(value, maximum))


def _draw_label(draw: ImageDraw.ImageDraw, box: _Box, text: str, colour: Colour, lettering: Lettering) -> None:
    x0, y0, x1, y1 = box
    draw.rectangle(box, fill=colour)
    lettering.draw(draw, ((x0 + x1) / 2, (y0 + y1) / 2), text, ink_on(colour), "mm")


def _overlap(a: _Box, b: _Box) -> float:
    """Area of the intersection of two boxes."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
