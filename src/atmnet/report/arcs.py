"""A query token and arcs to the places that it samples, as SVG. report.js draws the same when the user moves the token.

Coordinates are in tokens: (0, 0) is the top left corner of the image, and the centre of a token is at its index + 0.5.
"""

import torch
from torch import Tensor

from atmnet.report.drawing import BAR_START, BAR_WIDTH, BRANCHES, BULGE, DIGITS, DOT, MARGIN, MIN_BAR, MIN_BAR_SCALE
from atmnet.report.field import Field


def scene_svg(field: Field, picture: str, row: int, column: int) -> str:
    """All layers of a panel, for an svg element whose viewBox is the token grid.

    Args:
        field: The offsets.
        picture: id of the image element, which has a size of 1 x 1.
        row: Row of the query token among the query tokens.
        column: Column of the query token among the query tokens.
    """
    h, w = field.height, field.width
    density = " fine" if max(w, h) > 16 else " many" if max(w, h) > 8 else ""
    lines = "".join(f"M{i} 0v{h}" for i in range(1, w)) + "".join(f"M0 {i}h{w}" for i in range(1, h))
    query = "" if field.is_single_token else query_svg(field, row, column)
    return (
        f'<use href="#{picture}" transform="scale({w} {h})"/><rect class="scrim" width="{w}" height="{h}"/>'
        f'<path class="grid{density}" d="{lines}"/><g class="query">{query}</g>'
    )


def query_svg(field: Field, row: int, column: int) -> str:
    """The query token with its row and column, and an arc and a dot for each place. Dots outside the image are hollow.

    ``row`` and ``column`` are indices among the query tokens, here and in the functions below.
    """
    i, j = int(field.queries(1)[row]), int(field.queries(0)[column])
    svg = (
        f'<path class="w band" d="M0 {i}h{field.width}v1H0z"/><path class="h band" d="M{j} 0v{field.height}h1V0z"/>'
        f'<path class="token" d="M{j} {i}h1v1h-1z"/>'
    )
    for axis, (length, other_length) in enumerate([(field.width, field.height), (field.height, field.width)]):
        start, line = (j + 0.5, i + 0.5) if axis == 0 else (i + 0.5, j + 0.5)
        offsets = field.drawn[row, column, axis].tolist()
        widths = [""] * len(offsets)
        if field.fusions:
            weights = field.weights[axis, field.drawn_groups].tolist()
            widths = [f' style="--f:{_number(BRANCHES * weight)}"' for weight in weights]
        arcs: list[str] = []
        dots: list[str] = []
        hollow: list[str] = []
        for n, offset in enumerate(offsets):
            if offset != offset:
                continue
            end = min(max(start + offset, -MARGIN * length), (1 + MARGIN) * length)
            bulge = ((2 * n + 1) / len(offsets) - 1) * BULGE * abs(end - start)
            bulge = min(
                max(bulge, -2 * line), 2 * (other_length - line)
            )  # a curve bulges half as far, so it stays inside
            is_outside = not 0 <= end <= length
            target = _point(axis, end, line)
            curve = f"M{_point(axis, start, line)}Q{_point(axis, (start + end) / 2, line + bulge)} {target}"
            arcs.append(f'<path{" class=out" if is_outside else ""}{widths[n]} d="{curve}"/>')
            (hollow if is_outside else dots).append(f"M{target}{DOT}")
        svg += f'<g class="{"wh"[axis]}">{"".join(arcs)}<path class="dot" d="{"".join(dots)}"/>'
        if hollow:
            svg += f'<path class="dot out" d="{"".join(hollow)}"/><path class="hole" d="{"".join(hollow)}"/>'
        svg += "</g>"
    return svg


def read_shares(field: Field, row: int, column: int) -> tuple[Tensor, Tensor]:
    """The shares of the samples that are read from each column, (W,), and from each row, (H,).

    The sum is less than 1 if some places are outside, where samples are zero.
    """
    shares = []
    for axis, index in enumerate((int(field.queries(0)[column]), int(field.queries(1)[row]))):
        places = field.drawn[row, column, axis].nan_to_num(torch.inf) + index
        tokens = torch.arange(field.offsets.size(2 - axis)).view(-1, 1)
        shares.append((1 - (places - tokens).abs()).clamp(min=0).mean(1))
    return shares[0], shares[1]


def count_outside(field: Field, row: int, column: int) -> tuple[int, int]:
    """The number of a query's places that lie outside the image, and the number of all its places."""
    count = 0
    for axis, index in enumerate((int(field.queries(0)[column]), int(field.queries(1)[row]))):
        places = field.drawn[row, column, axis] + index
        count += int(((places < -0.5) | (places > field.offsets.size(2 - axis) - 0.5)).sum())
    return count, field.drawn[row, column].numel()


def bars_svg(shares: Tensor, across: bool, longest: float) -> str:
    """Bars for :func:`read_shares`, in tokens by 0 to 1.

    Args:
        shares: The shares.
        across: Whether the bars stand side by side and hang from the top, as for columns; else they start at the left.
        longest: The share whose bar has the length 1.
    """
    path = []
    for i, length in enumerate((shares / max(longest, MIN_BAR_SCALE)).tolist()):
        if length > MIN_BAR:
            start, end = f"{i + BAR_START:g}", _number(length)
            path.append(
                f"M{start} 0h{BAR_WIDTH}v{end}h-{BAR_WIDTH}z"
                if across
                else f"M0 {start}v{BAR_WIDTH}h{end}v-{BAR_WIDTH}z"
            )
    return f'<path class="{"w" if across else "h"}" d="{"".join(path)}"/>'


def _point(axis: int, along: float, across: float) -> str:
    return f"{_number(along)} {_number(across)}" if axis == 0 else f"{_number(across)} {_number(along)}"


def _number(value: float) -> str:
    return f"{value:.{DIGITS}f}".rstrip("0").rstrip(".")
