"""The section "where the network looks": a large image to point into, and a strip of small ones per example."""

from typing import Any

from PIL import Image

from atmnet.predictions.canvas import TINY
from atmnet.report.arcs import scene_svg
from atmnet.report.content import Looker
from atmnet.report.field import Field
from atmnet.report.pictures import data_uri
from atmnet.report.survey import SurveyedExample, close_up_radius, survey
from atmnet.report.viewer import picture_id, viewer_html

_EXPLANATION = (
    "Every token mixes three readings of each channel: its own, one taken somewhere along its "
    '<b class="w">row</b>, and one somewhere along its <b class="h">column</b>. How far away is predicted from the '
    "token itself, for each group of channels. An arc is one such group and ends at the place it reads. "
    '<span class="hint">Point at any picture to move the token.</span>'
)

_MAX_SIDE = 640
"""Longest side in pixels of a picture in the file; the network sees it in its own size."""


def looks_section(looker: Looker) -> tuple[str, dict[str, Any]]:
    """HTML of the section and the data for its script; both empty if :func:`survey` is."""
    examples = survey(looker)
    if not examples:
        return "", {}
    html = (
        f'<section id="looks" data-viewer="0"><h2>Where the network looks</h2><p class="lead">{_EXPLANATION}</p>'
        f"{looks_html(examples, 0)}"
        f'<p class="note">{_notes(examples[0].fields)}</p></section>'
    )
    return html, looks_data(examples)


def looks_html(examples: list[SurveyedExample], number: int) -> str:
    """The viewer ``number`` of a page, with the pictures of the examples and a strip for each."""
    pictures = "".join(_picture(picture_id(number, i), example.picture) for i, example in enumerate(examples))
    store = f'<svg class="store" aria-hidden="true"><defs>{pictures}</defs></svg>'
    return f"{store}{viewer_html(examples, number)}{_strips(examples, number)}"


def looks_data(examples: list[SurveyedExample], **more: Any) -> dict[str, Any]:
    """What viewer.js needs of the examples; ``more`` stands beside them."""
    return {"examples": [_data(example) for example in examples], **more}


def _picture(name: str, picture: Image.Image) -> str:
    """The image element that all panels of an example refer to."""
    tiny = ' class="tiny"' if max(picture.size) <= TINY else ""
    if max(picture.size) > _MAX_SIDE:
        picture = picture.copy()
        picture.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    return f'<image id="{name}"{tiny} width="1" height="1" preserveAspectRatio="none" href="{data_uri(picture)}"/>'


def _notes(fields: list[Field]) -> str:
    notes = (
        "Reach is the mean distance in tokens, over all tokens and share groups of these pictures. Beyond one token "
        "and outside are shares of the places. Between two tokens, both are blended."
    )
    thinned = [field for field in fields if field.drawn.size(3) < field.groups]
    if thinned:
        counts = sorted({field.drawn.size(3) for field in thinned})
        drawn = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
        total = max(field.groups for field in thinned)
        notes += f" To keep this file small, {drawn} of up to {total} groups are drawn"
        notes += ", and of large grids not every token answers." if any(f.step > 1 for f in fields) else "."
    return notes


def _data(surveyed: SurveyedExample) -> dict[str, Any]:
    return {
        "caption": surveyed.caption,
        "ratio": round(surveyed.ratio, 4),
        "at": [round(surveyed.x, 6), round(surveyed.y, 6)],
        "fields": [field.packed() | {"close": close_up_radius(field)} for field in surveyed.fields],
    }


def _strips(examples: list[SurveyedExample], number: int) -> str:
    """For each example a strip with a panel for each field. The field that the large image shows is marked."""
    panels = min(len(examples[0].fields), 6)
    strips = "".join(_strip(i, surveyed, picture_id(number, i)) for i, surveyed in enumerate(examples))
    return f'<div class="strips n{panels}">{strips}</div>'


def _strip(index: int, surveyed: SurveyedExample, picture: str) -> str:
    panels = []
    for k, field in enumerate(surveyed.fields):
        row, column = field.nearest_query(surveyed.x, surveyed.y)
        is_chosen = index == 0 and k == surveyed.first_field
        state = (" alone" if field.is_single_token else "") + (" chosen" if is_chosen else "")
        panels.append(
            f'<div><p class="label">{field.stage} <small>{field.blocks or field.size}</small></p>'
            f'<svg class="scene{state}" role="img" aria-label="{field.stage} {field.blocks}" '
            f'data-example="{index}" data-look="{k}" data-row="{row}" data-column="{column}" '
            f'viewBox="0 0 {field.width} {field.height}" preserveAspectRatio="none">'
            f"{scene_svg(field, picture, row, column)}</svg></div>"
        )
    return (
        f'<figure class="strip" style="--ratio:{surveyed.ratio:.4f}"><div>{"".join(panels)}</div>'
        f"<figcaption>{surveyed.caption}</figcaption></figure>"
    )
