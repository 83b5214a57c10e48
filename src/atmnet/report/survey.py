"""What the report tells about the fields of several pictures, and which of them it shows first.

Shapes: H x W tokens, G share groups, A = 2 axes (0 the width, 1 the height).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from atmnet.report.content import Example, Report
from atmnet.report.field import Field, fields
from atmnet.report.pictures import seen

_SHORT = 0.06
"""Arcs shorter than this share of a picture's side are hard to see."""


@dataclass(frozen=True, eq=False)
class Shown:
    """An example and where the network looks in it.

    Attributes:
        example: The example.
        picture: What the network saw.
        fields: First to last.
        first: Index of the field to show large at first.
        x: Where to point at first, as a share of the picture's width.
        y: Likewise, of its height.
    """

    example: Example
    picture: Image.Image
    fields: list[Field]
    first: int
    x: float
    y: float

    @property
    def ratio(self) -> float:
        """Width of the picture over its height."""
        return self.picture.width / self.picture.height


@dataclass(frozen=True)
class Reach:
    """How far a group of blocks looks, over all tokens, share groups and pictures.

    Attributes:
        width: Mean distance along the rows, in tokens.
        height: Mean distance along the columns.
        beyond: Share of places more than one token away.
        outside: Share of places outside the picture.
    """

    width: float
    height: float
    beyond: float
    outside: float


def survey(report: Report) -> list[Shown]:
    """Run the model on the examples; empty without examples or without an ATMNet."""
    shown = []
    for example in report.examples:
        x = report.preprocess(example.image).cpu()
        found = fields(report.model, x)
        if found:
            first = most_telling(found)
            shown.append(
                Shown(example, seen(x, report.mean, report.std), found, first, *default_query(x, found[first]))
            )
    return shown


def reach(offsets: list[Tensor]) -> Reach:
    """Sum up the offsets (A, H, W, G) of one group of blocks in several pictures."""
    width, height, outside = [], [], []
    for o in offsets:
        width.append(o[0].flatten())
        height.append(o[1].flatten())
        for axis, values in enumerate(o):
            length = values.size(1 - axis)
            shape = (1, -1, 1) if axis == 0 else (-1, 1, 1)
            places = values + torch.arange(length).view(shape)
            outside.append(((places < -0.5) | (places > length - 0.5)).flatten())
    along, down, out = torch.cat(width), torch.cat(height), torch.cat(outside)
    both = torch.cat([along, down])
    return Reach(
        along.abs().nanmean().item(),
        down.abs().nanmean().item(),
        (both.abs() > 1).float().mean().item(),
        out.float().mean().item(),
    )


def most_telling(found: list[Field]) -> int:
    """Index of the field whose arcs are the longest in the picture, among those of at least 4 x 4 tokens if any."""
    many = [f for f in found if min(f.width, f.height) >= 4] or found

    def length(field: Field) -> float:
        scale = torch.tensor([field.width, field.height]).view(-1, 1, 1, 1)
        return (field.offsets.abs().nan_to_num(0, 0, 0) / scale).mean().item()

    return found.index(max(many, key=length))


def default_query(x: Tensor, field: Field) -> tuple[float, float]:
    """Where to point at first, as fractions of the picture's sides: the widest reach among the tokens with most ink.

    Ink is the contrast of the preprocessed picture ``x`` (C, h, w) inside a token.
    """
    grey = x.float().nan_to_num().mean(0)[None, None]
    size = (field.height, field.width)
    mean = F.adaptive_avg_pool2d(grey, size)
    ink = (F.adaptive_avg_pool2d(grey.square(), size) - mean.square())[0, 0]
    distance = field.offsets.nan_to_num(0, 0, 0).abs().amax(-1).sum(0)
    if min(size) >= 4:  # the outermost tokens look outside more than is typical
        ink[[0, -1]] = ink[:, [0, -1]] = -1
    inked = ink >= ink.flatten().quantile(0.85)
    index = int(distance.where(inked, torch.tensor(-1.0)).argmax())
    # Just off the centre: where a coarse grid's centre is a fine grid's line, all agree on which side of it this is.
    return (index % field.width + 0.501) / field.width, (index // field.width + 0.501) / field.height


def close_up_radius(field: Field) -> float:
    """How many tokens around the query a close-up shows: 0 where arcs are long enough to see without one."""
    distances = field.shown.abs().nan_to_num().flatten()
    far = distances.kthvalue(max(1, round(0.95 * len(distances)))).values.item()
    if far / max(field.width, field.height) > _SHORT or field.alone:
        return 0.0
    return round(max(0.75, 1.3 * far), 2)
