"""The large picture, with what is read from each row and column beside it and the stages to choose from."""

from math import isfinite

from atmnet.report import arcs
from atmnet.report.content import caption, percent
from atmnet.report.field import Field
from atmnet.report.survey import Shown, close_up_radius, reach


def viewer(shown: list[Shown], classes: list[str]) -> str:
    """The first example, large; report.js replaces it by the others."""
    first = shown[0]
    field = first.fields[first.first]
    row, column = field.nearest_query(first.x, first.y)
    w, h = field.width, field.height
    scene = arcs.scene(field, "p0", row, column)
    across, down = arcs.readings(field, row, column)
    most = max(across.max().item(), down.max().item())
    return f"""
<figure class="viewer" style="--ratio:{first.ratio:.4f}">
<div class="plot">
<svg class="scene" id="large" role="img" tabindex="0" aria-label="Arcs from a token to the places it reads"
 data-example="0" data-look="{first.first}" data-row="{row}" data-column="{column}"
 viewBox="0 0 {w} {h}" preserveAspectRatio="none">{scene}</svg>
<svg class="bars down" id="down" aria-hidden="true"
 viewBox="0 0 1 {h}" preserveAspectRatio="none">{arcs.bars(down, False, most)}</svg>
<svg class="bars across" id="across" aria-hidden="true"
 viewBox="0 0 {w} 1" preserveAspectRatio="none">{arcs.bars(across, True, most)}</svg>
</div>
<figcaption>
<p class="who" id="who">{caption(first.example, classes)}</p>
<p class="readout" id="readout">{_readout(field, row, column)}</p>
{_stages(shown)}
<div class="beside">{_close_up(field, row, column, scene)}{_LEGEND}</div>
</figcaption>
</figure>"""


_LEGEND = (
    '<ul class="legend"><li><svg viewBox="0 0 28 12"><path class="w" d="M2 9Q12 -1 25 6"/>'
    '<path class="w dot" d="M25 6h.001"/></svg>along the row: width branch</li>'
    '<li><svg viewBox="0 0 28 12"><path class="h" d="M2 9Q12 -1 25 6"/><path class="h dot" d="M25 6h.001"/></svg>'
    "along the column: height branch</li>"
    '<li><svg viewBox="0 0 28 12"><path class="w out dot" d="M14 6h.001"/><path class="hole" d="M14 6h.001"/></svg>'
    "outside the picture, where tokens count as zero</li>"
    '<li><svg viewBox="0 0 28 12" class="solid"><path class="w" d="M3 4h5v7h-5z"/><path class="w" d="M10 1h5v10h-5z"/>'
    '<path class="h" d="M20 1v4h6v-4zM20 7v4h4v-4z"/></svg>how much is read from each column and row</li></ul>'
)


def _readout(field: Field, row: int, column: int) -> str:
    if field.alone:
        return "A single token: there is nowhere else to look."
    i, j = int(field.queries(1)[row]) + 1, int(field.queries(0)[column]) + 1
    out, of = arcs.outside(field, row, column)
    where = "none of its places is outside" if out == 0 else f"{out} of its {of} places are outside"
    return f"Token in row {i} of {field.height}, column {j} of {field.width}: {where}."


def _stages(shown: list[Shown]) -> str:
    """A table of the stages' reaches over all pictures; its rows choose what the large picture shows."""
    rows = []
    for k, field in enumerate(shown[0].fields):
        chosen = k == shown[0].first
        name = field.stage + (f" <small>{field.blocks}</small>" if field.blocks else "")
        if field.alone:
            numbers = '<td colspan="4" class="none">one token, nowhere else to look</td>'
        else:
            total = reach([s.fields[k].offsets for s in shown])
            numbers = (
                f'<td class="w">{_tokens(total.width)}</td><td class="h">{_tokens(total.height)}</td>'
                f"<td>{percent(total.beyond)}</td><td>{percent(total.outside)}</td>"
            )
        rows.append(
            f'<tr{" class=chosen" if chosen else ""}><th scope="row"><button type="button" data-look="{k}" '
            f'aria-pressed="{"true" if chosen else "false"}">{name}</button></th><td>{field.size}</td>{numbers}</tr>'
        )
    return (
        '<table class="stages"><thead><tr><th></th><th>tokens</th><th class="w">reach<br>in row</th>'
        '<th class="h">reach in<br>column</th><th>beyond<br>1 token</th><th>outside</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _tokens(distance: float) -> str:
    return f"{distance:.2f}" if isfinite(distance) else "–"


def _close_up(field: Field, row: int, column: int, scene: str) -> str:
    """A magnified view around the query token, hidden where it is not needed."""
    radius = close_up_radius(field)
    x, y = int(field.queries(0)[column]) + 0.5, int(field.queries(1)[row]) + 0.5
    box = f"{x - radius:g} {y - radius:g} {2 * radius:g} {2 * radius:g}"
    return (
        f'<figure class="close" id="close"{"" if radius else " hidden"}>'
        f'<svg class="scene" viewBox="{box}">{scene if radius else ""}</svg><figcaption>close-up</figcaption></figure>'
    )
