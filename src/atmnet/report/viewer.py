"""The section "where the network looks": one large picture to point into, and all pictures beside each other."""

from dataclasses import dataclass
from html import escape
from typing import Any

import torch
from PIL import Image

from atmnet.report import arcs
from atmnet.report.content import Example, Report, percent
from atmnet.report.looks import Field, default_query, fields, reach
from atmnet.report.pictures import TINY, data_uri, seen

_CLOSE_UP = 40
"""A large picture is this many tokens or more across before a close-up could be needed; see :func:`_close_up`."""


@dataclass
class _Shown:
    """An example, the picture that the network saw, its fields, and where to point at first (fractions)."""

    example: Example
    picture: Image.Image
    fields: list[Field]
    x: float
    y: float


def looks_section(report: Report) -> tuple[str, dict[str, Any]]:
    """HTML of the section and the data that its script needs; both empty without examples or without an ATMNet."""
    shown = []
    for example in report.examples:
        x = report.preprocess(example.image).cpu()
        found = fields(report.model, x)
        if found:
            point = default_query(x, found[0])
            shown.append(_Shown(example, seen(x, report.mean, report.std), found, *point))
    if not shown:
        return "", {}

    pictures = "".join(_picture(i, s.picture) for i, s in enumerate(shown))
    strips = "".join(_strip(i, s, report.classes) for i, s in enumerate(shown))
    html = (
        f'<section id="looks"><h2>Where the network looks</h2>{_EXPLANATION}'
        f'<svg class="store" aria-hidden="true"><defs>{pictures}</defs></svg>'
        f"{_viewer(shown, report.classes)}"
        f'<div class="strips n{min(len(shown[0].fields), 6)}">{strips}</div>{_notes(shown[0].fields)}</section>'
    )
    return html, {"margin": arcs.MARGIN, "examples": [_data(s, report.classes) for s in shown]}


_EXPLANATION = (
    '<p class="lead">Every token mixes three readings of each channel: its own, one taken somewhere along its '
    '<b class="w">row</b>, and one somewhere along its <b class="h">column</b>. How far away is predicted from the '
    "token itself, for each group of channels. An arc is one such group and ends at the place it reads.</p>"
)


def _picture(index: int, picture: Image.Image) -> str:
    tiny = ' class="tiny"' if max(picture.size) <= TINY else ""
    return f'<image id="p{index}"{tiny} width="1" height="1" preserveAspectRatio="none" href="{data_uri(picture)}"/>'


def _viewer(shown: list[_Shown], classes: list[str]) -> str:
    first = shown[0]
    field = first.fields[0]
    row, column = field.nearest_query(first.x, first.y)
    across, down = arcs.readings(field, row, column)
    most = max(across.max().item(), down.max().item())
    w, h = field.width, field.height
    ratio = first.picture.width / first.picture.height
    return f"""
<figure class="viewer" style="--ratio:{ratio:.4f}">
<div class="plot">
<svg class="scene" id="large" role="img" tabindex="0" aria-label="Arcs from a token to the places it reads"
 data-example="0" data-look="0" data-row="{row}" data-column="{column}"
 viewBox="0 0 {w} {h}" preserveAspectRatio="none"><g id="large-scene">{arcs.scene(field, "p0", row, column)}</g></svg>
<svg class="bars down" id="down" viewBox="0 0 1 {h}" preserveAspectRatio="none">{arcs.bars(down, False, most)}</svg>
<svg class="bars across" id="across" viewBox="0 0 {w} 1" preserveAspectRatio="none">{arcs.bars(across, True, most)}</svg>
</div>
<figcaption>
<p class="who" id="who">{_who(first.example, classes)}</p>
<p class="readout" id="readout">{_readout(field, row, column)}</p>
{_stages(shown)}
<div class="beside">{_close_up(field, row, column)}{_LEGEND}</div>
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


def _who(example: Example, classes: list[str]) -> str:
    wrong = example.target is not None and example.target != example.predicted
    verdict = escape(example.verdict(classes))
    return f"<b{' class=wrong' if wrong else ''}>{verdict}</b> <span>{escape(example.name)}</span>"


def _readout(field: Field, row: int, column: int) -> str:
    if field.alone:
        return "A single token: there is nowhere else to look."
    i, j = int(field.queries(1)[row]) + 1, int(field.queries(0)[column]) + 1
    out, of = arcs.outside(field, row, column)
    where = "none of its places is outside" if out == 0 else f"{out} of its {of} places are outside"
    return f"Token in row {i} of {field.height}, column {j} of {field.width}: {where}."


def _stages(shown: list[_Shown]) -> str:
    """A table of the stages' reaches over all pictures; its rows choose what the large picture shows."""
    rows = []
    for k, field in enumerate(shown[0].fields):
        name = field.stage + (f" <small>{field.blocks}</small>" if field.blocks else "")
        total = reach([s.fields[k].offsets for s in shown])
        if field.alone:
            numbers = '<td colspan="4" class="none">one token, nowhere else to look</td>'
        else:
            numbers = (
                f'<td class="w">{total.width:.2f}</td><td class="h">{total.height:.2f}</td>'
                f"<td>{percent(total.beyond)}</td><td>{percent(total.outside)}</td>"
            )
        rows.append(
            f'<tr{" class=chosen" if k == 0 else ""}><th scope="row"><button type="button" data-look="{k}" '
            f'aria-pressed="{"true" if k == 0 else "false"}">{name}</button></th>'
            f"<td>{field.width}&#8202;×&#8202;{field.height}</td>{numbers}</tr>"
        )
    return (
        '<table class="stages"><thead><tr><th></th><th>tokens</th><th class="w">reach<br>in rows</th>'
        '<th class="h">reach in<br>columns</th><th>beyond<br>1 token</th><th>outside</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _close_up(field: Field, row: int, column: int) -> str:
    """A magnified view around the query token, for fields that reach but a few of many tokens; else hidden."""
    half = close_up_tokens(field)
    i, j = int(field.queries(1)[row]), int(field.queries(0)[column])
    box = f"{j - half} {i - half} {2 * half + 1} {2 * half + 1}"
    return (
        f'<figure class="close"{"" if half else " hidden"} id="close"><svg class="scene" viewBox="{box}">'
        f'<use href="#large-scene"/></svg><figcaption>close-up</figcaption></figure>'
    )


def close_up_tokens(field: Field) -> int:
    """Tokens that a close-up shows to each side of the query: 0 where arcs are long enough to see without."""
    length = max(field.width, field.height)
    far = field.offsets.abs().nan_to_num().flatten()
    far = torch.quantile(far[:: -(-len(far) // 100_000)], 0.95).item()
    if far / length * 520 > _CLOSE_UP or field.alone:
        return 0
    return max(1, round(far + 0.5))


def _strip(index: int, shown: _Shown, classes: list[str]) -> str:
    panels = []
    for k, field in enumerate(shown.fields):
        row, column = field.nearest_query(shown.x, shown.y)
        label = field.stage + (f", {field.blocks}" if field.blocks else "")
        panels.append(
            f'<svg class="scene{" fine" if max(field.width, field.height) > 16 else ""}" role="img" '
            f'aria-label="{label}" data-example="{index}" data-look="{k}" data-row="{row}" data-column="{column}" '
            f'viewBox="0 0 {field.width} {field.height}" preserveAspectRatio="none">'
            f"{arcs.scene(field, f'p{index}', row, column)}</svg>"
        )
    ratio = shown.picture.width / shown.picture.height
    return (
        f'<figure class="strip" style="--ratio:{ratio:.4f}"><div>{"".join(panels)}</div>'
        f"<figcaption>{_who(shown.example, classes)}</figcaption></figure>"
    )


def _notes(found: list[Field]) -> str:
    notes = ["Point at a picture, or tap it, to move the token; choose a stage in the table."]
    thinned = [f for f in found if f.shown.size(3) < f.groups]
    if thinned:
        kept = sorted({f.shown.size(3) for f in thinned})
        notes.append(
            f"To keep this file small, some stages draw {_span(kept)} of up to {max(f.groups for f in thinned)} groups."
        )
    return f'<p class="note">{" ".join(notes)}</p>'


def _span(values: list[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _data(shown: _Shown, classes: list[str]) -> dict[str, Any]:
    return {
        "who": _who(shown.example, classes),
        "ratio": round(shown.picture.width / shown.picture.height, 4),
        "at": [round(shown.x, 4), round(shown.y, 4)],
        "fields": [field.packed() | {"close": close_up_tokens(field)} for field in shown.fields],
    }
