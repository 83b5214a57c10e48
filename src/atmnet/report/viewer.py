"""The large image with bars for the shares that are read from each row and column, and a table of the stages."""

from math import isfinite

from atmnet.report.arcs import bars_svg, count_outside, read_shares, scene_svg
from atmnet.report.content import percent
from atmnet.report.drawing import NONE_OUTSIDE, READOUT, SINGLE_TOKEN, SOME_OUTSIDE
from atmnet.report.field import Field, Fusion
from atmnet.report.survey import SurveyedExample, close_up_radius, reach


def viewer_html(examples: list[SurveyedExample], number: int = 0) -> str:
    """The viewer with the first example. viewer.js replaces it when the user chooses another one.

    Args:
        examples: The examples. With exact fields, the viewer can also show who reads a token and where its content came
            from, and save what it shows.
        number: Number of the viewer on its page; part of the ids of its pictures.
    """
    first = examples[0]
    field = first.fields[first.first_field]
    row, column = field.nearest_query(first.x, first.y)
    w, h = field.width, field.height
    scene = scene_svg(field, picture_id(number, 0), row, column)
    across, down = read_shares(field, row, column)
    longest = max(across.max().item(), down.max().item())
    readout = f"readout{number}"
    return f"""
<figure class="viewer" style="--ratio:{first.ratio:.4f}">
<div class="plot">
<svg class="scene" data-part="large" role="img" tabindex="0" aria-label="{_ARIA_LABEL}" aria-describedby="{readout}"
 data-example="0" data-look="{first.first_field}" data-row="{row}" data-column="{column}"
 viewBox="0 0 {w} {h}" preserveAspectRatio="none">{scene}</svg>
<svg class="bars down" data-part="down" aria-hidden="true"
 viewBox="0 0 1 {h}" preserveAspectRatio="none">{bars_svg(down, False, longest)}</svg>
<svg class="bars across" data-part="across" aria-hidden="true"
 viewBox="0 0 {w} 1" preserveAspectRatio="none">{bars_svg(across, True, longest)}</svg>
</div>
<figcaption>
<p class="who" data-part="who">{first.caption}</p>
{first.answer}
{_TOOLS if field.exact else ""}
<p class="readout" id="{readout}" data-part="readout" aria-live="polite">{_readout(field, row, column)}</p>
{_stage_table(examples)}
{_fusions(first)}
<div class="beside">{_close_up(field, row, column, scene)}{_LEGEND}</div>
</figcaption>
</figure>"""


def picture_id(number: int, example: int) -> str:
    """id of the picture of an example of a viewer."""
    return f"p{number}-{example}"


_ARIA_LABEL = "Picture with a token and the places that it reads; arrow keys move the token"

_TOOLS = (
    '<div class="tools"><div role="group" aria-label="What is shown of the token">'
    '<button type="button" data-layer="reads" aria-pressed="true">Reads</button>'
    '<button type="button" data-layer="readers" aria-pressed="false">Read by</button>'
    '<button type="button" data-layer="origin" aria-pressed="false">Came from</button></div>'
    '<div role="group" aria-label="Save what is shown">'
    '<button type="button" data-save="png" aria-label="Save as PNG">PNG</button>'
    '<button type="button" data-save="svg" aria-label="Save as SVG">SVG</button></div></div>'
)


def _fusions(example: SurveyedExample) -> str:
    """For each field with known fusions a bar for each of its blocks; only those of the chosen field are shown."""
    html = ""
    for k, field in enumerate(example.fields):
        bars = "".join(_fusion_bar(n, fusion) for n, fusion in enumerate(field.fusions))
        hidden = "" if k == example.first_field else " hidden"
        html += f'<div class="fusion" data-look="{k}"{hidden}>{bars}</div>' if bars else ""
    if not html:
        return ""
    title = 'What the fusion lets through: <b class="w">row</b>, <b class="h">column</b>, the token itself'
    return f'<p class="fused">{title}</p>{html}'


def _fusion_bar(index: int, fusion: Fusion) -> str:
    """The branches' shares of what a block mixes, and the share of the residual connection."""
    shares = fusion.weights.mean(1).tolist()
    text = " · ".join(percent(share) for share in shares)
    parts = "".join(
        f'<i class="{branch}" style="--v:{100 * share:.2f}%"></i>' for branch, share in zip("wht", shares, strict=True)
    )
    kept = f"residual connection {percent(fusion.kept)}"
    return (
        f'<div><span>block {index + 1}</span><span class="stack" aria-hidden="true">{parts}</span>'
        f"<span>{text} <small>{kept}</small></span></div>"
    )


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
    if field.is_single_token:
        return SINGLE_TOKEN
    outside, total = count_outside(field, row, column)
    return READOUT.format(
        row=int(field.queries(1)[row]) + 1,
        rows=field.height,
        column=int(field.queries(0)[column]) + 1,
        columns=field.width,
        places=SOME_OUTSIDE.format(outside=outside, total=total) if outside else NONE_OUTSIDE,
    )


def _stage_table(examples: list[SurveyedExample]) -> str:
    """A table with the reach of each stage over all examples. The user clicks a row to show its stage."""
    rows = []
    for k, field in enumerate(examples[0].fields):
        is_chosen = k == examples[0].first_field
        name = field.stage + (f" <small>{field.blocks}</small>" if field.blocks else "")
        if field.is_single_token:
            numbers = '<td colspan="4" class="none">a single token</td>'
        else:
            total = reach([surveyed.fields[k].offsets for surveyed in examples])
            numbers = (
                f'<td class="w">{_tokens(total.width)}</td><td class="h">{_tokens(total.height)}</td>'
                f"<td>{percent(total.beyond)}</td><td>{percent(total.outside)}</td>"
            )
        rows.append(
            f'<tr{" class=chosen" if is_chosen else ""}><th scope="row"><button type="button" data-look="{k}" '
            f'aria-pressed="{"true" if is_chosen else "false"}">{name}</button></th><td>{field.size}</td>{numbers}</tr>'
        )
    return (
        '<table class="stages"><thead><tr><th></th><th>tokens</th><th class="w">reach<br>in row</th>'
        '<th class="h">reach in<br>column</th><th>beyond<br>1 token</th><th>outside</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _tokens(distance: float) -> str:
    return f"{distance:.2f}" if isfinite(distance) else "–"


def _close_up(field: Field, row: int, column: int, scene: str) -> str:
    """A magnified view around the query token, hidden if it is not needed."""
    radius = close_up_radius(field)
    x, y = int(field.queries(0)[column]) + 0.5, int(field.queries(1)[row]) + 0.5
    box = f"{x - radius:g} {y - radius:g} {2 * radius:g} {2 * radius:g}"
    return (
        f'<figure class="close" data-part="close"{"" if radius else " hidden"}>'
        f'<svg class="scene" viewBox="{box}">{scene if radius else ""}</svg><figcaption>close-up</figcaption></figure>'
    )
