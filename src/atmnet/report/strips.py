"""All pictures and stages beside each other, small."""

from atmnet.report import arcs
from atmnet.report.caption import caption
from atmnet.report.survey import Shown


def strips(shown: list[Shown], classes: list[str]) -> str:
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
