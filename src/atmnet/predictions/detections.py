"""Objects drawn on a picture: boxes, masks, names.

Shapes: N objects of a picture of H x W pixels.
"""

from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from torch import Tensor

from atmnet.predictions.canvas import enlarged, font_for, with_legend
from atmnet.predictions.colours import Colour, class_colours, ink_on
from atmnet.predictions.lettering import Font, cut

_MASK = 0.45
"""How much a mask covers."""

_BETWEEN = " · "
_EDGE = 10
"""Pixels of a chip that are not text, at both sides together."""

_Box = tuple[float, float, float, float]


def draw_detections(
    image: Image.Image, boxes: Tensor, labels: Tensor, scores: Tensor, masks: Tensor | None, classes: list[str]
) -> Image.Image:
    """Boxes and masks in the colours of their classes, each with its class and score, and a legend below.

    Small pictures are enlarged, so that names are legible. Large objects are drawn first, under small ones.

    Args:
        image: The picture, of any mode.
        boxes: (N, 4), x0 y0 x1 y1 in pixels of the picture.
        labels: (N,), indices into ``classes``.
        scores: (N,), 0 to 1.
        masks: (N, 1, H, W) or (N, H, W), booleans or probabilities, of which more than a half is drawn; or None.
        classes: Names of all classes, which have the same colours in all pictures.
    """
    colours = class_colours(len(classes))
    sheet, factor = enlarged(image)
    boxes = (boxes.float().cpu() * factor).clamp(min=0)
    boxes = torch.minimum(boxes, torch.tensor([sheet.width - 1, sheet.height - 1]).repeat(2))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = areas.argsort(descending=True, stable=True).tolist()
    names = labels.tolist()
    line = max(2, round(max(sheet.size) / 350))
    if masks is not None:
        for i in order:
            _paint(sheet, masks[i].reshape(masks.shape[-2:]).cpu(), factor, colours[names[i]], line)
    draw = ImageDraw.Draw(sheet)
    for i in order:
        x0, y0, x1, y1 = boxes[i].tolist()
        draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=(0, 0, 0), width=line + 2)
        draw.rectangle((x0, y0, x1, y1), outline=colours[names[i]], width=line)
    font = font_for(sheet)
    taken: list[_Box] = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        score = f"{100 * scores[i].item():.0f} %"
        name = cut(classes[names[i]], font, round(sheet.width - font.getlength(f"{_BETWEEN}{score}")) - _EDGE)
        place = _place(boxes[i].tolist(), f"{name}{_BETWEEN}{score}", font, taken, sheet.size)
        _write(draw, place, f"{name}{_BETWEEN}{score}", colours[names[i]], font)
        taken.append(place)
    counts = Counter(names).most_common()
    return with_legend(sheet, [(colours[k], classes[k], f"({count})") for k, count in counts], font)


def _paint(sheet: Image.Image, mask: Tensor, factor: int, colour: Colour, line: int) -> None:
    """Lay a coloured mask (H, W) with an edge on ``sheet``, smooth where the picture was enlarged by ``factor``."""
    rows, columns = ((mask > 0.5).any(axis).nonzero().flatten() for axis in (1, 0))
    if len(rows) == 0:
        return
    top, left = max(int(rows[0]) - 2, 0), max(int(columns[0]) - 2, 0)
    part = mask[top : int(rows[-1]) + 3, left : int(columns[-1]) + 3].float()[None, None]
    large = F.interpolate(part, scale_factor=factor, mode="bilinear", align_corners=False)[0, 0]
    inside = Image.fromarray((large > 0.5).numpy().astype(np.uint8) * 255)
    edge = ImageChops.subtract(inside, inside.filter(ImageFilter.MinFilter(2 * (line // 2) + 1)))
    sheet.paste(
        Image.new("RGB", inside.size, colour),
        (left * factor, top * factor),
        ImageChops.lighter(inside.point(lambda v: round(v * _MASK)), edge),
    )


def _place(box: list[float], text: str, font: Font, taken: list[_Box], size: tuple[int, int]) -> _Box:
    """Where to write ``text`` of ``box``: inside the picture of ``size``, and off the places taken if possible."""
    _, top, _, bottom = font.getbbox("Ág|")
    width, height = font.getlength(text) + _EDGE, round(1.2 * (bottom - top))
    x0, y0, x1, y1 = box
    # Above the box, then in its upper part, below it, in its lower part; at the left, then at the right.
    chips = [
        (x, y, x + width, y + height)
        for y in (_within(top, size[1] - height) for top in (y0 - height, y0, y1, y1 - height))
        for x in (_within(left, size[0] - width) for left in (x0, x1 - width))
    ]
    return min(chips, key=lambda chip: sum(_overlap(chip, other) for other in taken))


def _within(value: float, most: float) -> float:
    return max(0.0, min(value, most))


def _write(draw: ImageDraw.ImageDraw, place: _Box, text: str, colour: Colour, font: Font) -> None:
    x0, y0, x1, y1 = place
    draw.rectangle(place, fill=colour)
    draw.text(((x0 + x1) / 2, (y0 + y1) / 2), text, font=font, fill=ink_on(colour), anchor="mm")


def _overlap(a: _Box, b: _Box) -> float:
    """Area that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
