"""A query token and the arcs to the places it samples, as SVG. report.js draws the same when the token moves.

Coordinates are tokens: (0, 0) is the top left corner of the picture, a token's centre is at its index plus a half.
"""

import torch
from torch import Tensor

from atmnet.report.field import Field

MARGIN = 0.045
"""How far outside the picture places are drawn, as a share of its side; those further stop there."""

BULGE = 0.95
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
    density = " fine" if max(w, h) > 16 else " many" if max(w, h) > 8 else ""
    lines = "".join(f"M{i} 0v{h}" for i in range(1, w)) + "".join(f"M0 {i}h{w}" for i in range(1, h))
    arrows = "" if field.alone else query(field, row, column)
    return (
        f'<use href="#{picture}" transform="scale({w} {h})"/><rect class="scrim" width="{w}" height="{h}"/>'
        f'<path class="grid{density}" d="{lines}"/><g class="query">{arrows}</g>'
    )


def query(field: Field, row: int, column: int) -> str:
    """The query token, its row and column, and one arc and one dot for each place; hollow dots outside the picture."""
    i, j = int(field.queries(1)[row]), int(field.queries(0)[column])
    svg = (
        f'<path class="w band" d="M0 {i}h{field.width}v1H0z"/><path class="h band" d="M{j} 0v{field.height}h1V0z"/>'
        f'<path class="token" d="M{j} {i}h1v1h-1z"/>'
    )
    for axis, (length, across) in enumerate([(field.width, field.height), (field.height, field.width)]):
        start, line = (j + 0.5, i + 0.5) if axis == 0 else (i + 0.5, j + 0.5)
        offsets = field.shown[row, column, axis].tolist()
        arcs: list[str] = []
        dots: list[str] = []
        hollow: list[str] = []
        for n, offset in enumerate(offsets):
            if offset != offset:
                continue
            end = min(max(start + offset, -MARGIN * length), (1 + MARGIN) * length)
            bulge = ((2 * n + 1) / len(offsets) - 1) * BULGE * abs(end - start)
            bulge = min(max(bulge, -2 * line), 2 * (across - line))  # an arc goes half as far: stay in the picture
            out = not 0 <= end <= length
            target = _point(axis, end, line)
            curve = f"M{_point(axis, start, line)}Q{_point(axis, (start + end) / 2, line + bulge)} {target}"
            arcs.append(f'<path{" class=out" if out else ""} d="{curve}"/>')
            (hollow if out else dots).append(f"M{target}h.001")
        svg += f'<g class="{"wh"[axis]}">{"".join(arcs)}<path class="dot" d="{"".join(dots)}"/>'
        if hollow:
            svg += f'<path class="dot out" d="{"".join(hollow)}"/><path class="hole" d="{"".join(hollow)}"/>'
        svg += "</g>"
    return svg


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


def _point(axis: int, along: float, aside: float) -> str:
    return f"{_short(along)} {_short(aside)}" if axis == 0 else f"{_short(aside)} {_short(along)}"


def _short(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
