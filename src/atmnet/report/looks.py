"""The section "where the network looks": one large picture to point into, and all pictures small."""

from typing import Any

from PIL import Image

from atmnet.predictions.canvas import TINY
from atmnet.report import arcs
from atmnet.report.content import Report, caption
from atmnet.report.field import Field
from atmnet.report.pictures import data_uri
from atmnet.report.survey import Shown, close_up_radius, survey
from atmnet.report.viewer import viewer

_EXPLANATION = (
    "Every token mixes three readings of each channel: its own, one taken somewhere along its "
    '<b class="w">row</b>, and one somewhere along its <b class="h">column</b>. How far away is predicted from the '
    "token itself, for each group of channels. An arc is one such group and ends at the place it reads. "
    '<span class="hint">Point at any picture to move the token.</span>'
)


def looks_section(report: Report) -> tuple[str, dict[str, Any]]:
    """HTML of the section and the data that its script needs; both empty without examples or without an ATMNet."""
    shown = survey(report)
    if not shown:
        return "", {}
    pictures = "".join(_picture(i, s.picture) for i, s in enumerate(shown))
    html = (
        f'<section id="looks"><h2>Where the network looks</h2><p class="lead">{_EXPLANATION}</p>'
        f'<svg class="store" aria-hidden="true"><defs>{pictures}</defs></svg>'
        f"{viewer(shown, report.classes)}{_strips(shown, report.classes)}"
        f'<p class="note">{_notes(shown[0].fields)}</p></section>'
    )
    data = {"margin": arcs.MARGIN, "bulge": arcs.BULGE, "examples": [_data(s, report.classes) for s in shown]}
    return html, data


def _picture(index: int, picture: Image.Image) -> str:
    """The picture, once for all the panels that show it."""
    tiny = ' class="tiny"' if max(picture.size) <= TINY else ""
    return f'<image id="p{index}"{tiny} width="1" height="1" preserveAspectRatio="none" href="{data_uri(picture)}"/>'


def _notes(found: list[Field]) -> str:
    notes = (
        "Reach is the mean distance in tokens, over all tokens and share groups of these pictures. Beyond one token "
        "and outside are shares of the places. Between two tokens, both are blended."
    )
    thinned = [field for field in found if field.shown.size(3) < field.groups]
    if thinned:
        kept = sorted({field.shown.size(3) for field in thinned})
        some = f"{kept[0]} to {kept[-1]}" if len(kept) > 1 else f"{kept[0]}"
        most = max(field.groups for field in thinned)
        notes += f" To keep this file small, {some} of up to {most} groups are drawn"
        notes += ", and of large grids not every token answers." if any(f.step > 1 for f in found) else "."
    return notes


def _data(shown: Shown, classes: list[str]) -> dict[str, Any]:
    return {
        "caption": caption(shown.example, classes),
        "ratio": round(shown.ratio, 4),
        "at": [round(shown.x, 6), round(shown.y, 6)],
        "fields": [field.packed() | {"close": close_up_radius(field)} for field in shown.fields],
    }


def _strips(shown: list[Shown], classes: list[str]) -> str:
    """One strip of panels, a panel for each field, for each example; the first example's first field is marked."""
    panels = min(len(shown[0].fields), 6)
    return f'<div class="strips n{panels}">{"".join(_strip(i, s, classes) for i, s in enumerate(shown))}</div>'


def _strip(index: int, shown: Shown, classes: list[str]) -> str:
    panels = []
    for k, field in enumerate(shown.fields):
        row, column = field.nearest_query(shown.x, shown.y)
        state = (" alone" if field.alone else "") + (" chosen" if index == 0 and k == shown.first else "")
        panels.append(
            f'<div><p class="label">{field.stage} <small>{field.blocks or field.size}</small></p>'
            f'<svg class="scene{state}" role="img" aria-label="{field.stage} {field.blocks}" '
            f'data-example="{index}" data-look="{k}" data-row="{row}" data-column="{column}" '
            f'viewBox="0 0 {field.width} {field.height}" preserveAspectRatio="none">'
            f"{arcs.scene(field, f'p{index}', row, column)}</svg></div>"
        )
    return (
        f'<figure class="strip" style="--ratio:{shown.ratio:.4f}"><div>{"".join(panels)}</div>'
        f"<figcaption>{caption(shown.example, classes)}</figcaption></figure>"
    )
