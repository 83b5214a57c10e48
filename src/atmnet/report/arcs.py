"""A query token and the arcs to the places it samples, as SVG. report.js draws the same when the token moves.

Coordinates are tokens: (0, 0) is the top left corner of the picture, a token's centre is at its index plus a half.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from atmnet.report.looks import Field

MARGIN = 0.045
"""How far outside the picture places are drawn, as a share of its side; those further stop there."""

_BULGE = 0.95
"""Largest bulge of an arc, as a share of its length."""


def scene(field: Field, picture: str, row: int, column: int) -> str:
    """All layers of a panel, for an svg element whose viewBox is the token grid.

    Args:
        field: The offsets.
        picture: id of the image element, of 1 x 1 units.
        row: Of the query token, among the query tokens.
        column: Likewise.
    """
    h, w = field.height, field.width
    lines = "".join(f"M{i} 0v{h}" for i in range(1, w)) + "".join(f"M0 {i}h{w}" for i in range(1, h))
    return (
        f'<use href="#{picture}" transform="scale({w} {h})"/><rect class="scrim" width="{w}" height="{h}"/>'
        f'<path class="grid" d="{lines}"/><g class="query">{"" if field.alone else query(field, row, column)}</g>'
    )


def query(field: Field, row: int, column: int) -> str:
    """The query token, its row and column, and one arc and one dot for each place; hollow dots outside the picture."""
    i, j = int(field.queries(1)[row]), int(field.queries(0)[column])
    x, y = j + 0.5, i + 0.5
    parts = [
        f'<path class="w band" d="M0 {i}h{field.width}v1H0z"/><path class="h band" d="M{j} 0v{field.height}h1V0z"/>'
        f'<path class="token" d="M{j} {i}h1v1h-1z"/>'
    ]
    for axis, length in enumerate((field.width, field.height)):
        offsets = field.shown[row, column, axis].tolist()
        centre = (x, y)[axis]
        for n, offset in enumerate(offsets):
            if offset != offset:
                continue
            end = min(max(centre + offset, -MARGIN * length), (1 + MARGIN) * length)
            bulge = ((2 * n + 1) / len(offsets) - 1) * _BULGE * abs(end - centre)
            middle = (centre + end) / 2
            kind = "wh"[axis] + ("" if 0 <= end <= length else " out")
            if axis == 0:
                curve, dot = _points((middle, y + bulge), (end, y)), _points((end, y))
            else:
                curve, dot = _points((x + bulge, middle), (x, end)), _points((x, end))
            parts.append(f'<path class="{kind}" d="M{_points((x, y))}Q{curve}"/>')
            parts.append(f'<path class="{kind} dot" d="M{dot}h.001"/>')
            if kind.endswith("out"):
                parts.append(f'<path class="hole" d="M{dot}h.001"/>')
    return "".join(parts)


def readings(field: Field, row: int, column: int) -> tuple[Tensor, Tensor]:
    """How much of the samples comes from each column (W) and from each row (H): shares, before what reads zero."""
    shares = []
    for axis, index in enumerate((int(field.queries(0)[column]), int(field.queries(1)[row]))):
        places = field.shown[row, column, axis].nan_to_num(torch.inf) + index
        tokens = torch.arange(field.offsets.size(2 - axis)).view(-1, 1)
        shares.append((1 - (places - tokens).abs()).clamp(min=0).mean(1))
    return shares[0], shares[1]


def outside(field: Field, row: int, column: int) -> tuple[int, int]:
    """How many of a query's places lie outside the picture, and of how many."""
    count = 0
    for axis, index in enumerate((int(field.queries(0)[column]), int(field.queries(1)[row]))):
        places = field.shown[row, column, axis] + index
        count += int(((places < -0.5) | (places > field.offsets.size(2 - axis) - 0.5)).sum())
    return count, field.shown[row, column].numel()


def bars(shares: Tensor, across: bool, most: float) -> str:
    """Bars for :func:`readings` in units of tokens by 0..1: hanging from the top if ``across``, else from the left."""
    path = []
    for i, share in enumerate((shares / max(most, 1e-6)).tolist()):
        if share > 0.002:
            path.append(
                f"M{i + 0.08:g} 0h.84v{_short(share)}h-.84z" if across else f"M0 {i + 0.08:g}v.84h{_short(share)}v-.84z"
            )
    return f'<path class="{"w" if across else "h"}" d="{"".join(path)}"/>'


def _points(*points: Sequence[float]) -> str:
    return " ".join(f"{_short(x)} {_short(y)}" for x, y in points)


def _short(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
