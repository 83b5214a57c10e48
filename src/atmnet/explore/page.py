"""Explorations as one self-contained HTML page, which is what the app, a notebook and the saved file show."""

import re
from collections.abc import Sequence
from html import escape

from torchvision.transforms.functional import pil_to_tensor

from atmnet.explore.exploration import Exploration
from atmnet.report.content import percent
from atmnet.report.field import Field
from atmnet.report.looks import looks_data, looks_html
from atmnet.report.page import Section, page_html
from atmnet.report.pictures import data_uri
from atmnet.report.survey import surveyed_example
from atmnet_cli.printing import printable

_MAX_ROWS = 5
"""Maximum number of classes, objects or regions that are listed."""

_DRAWING_SIDE = 640
"""Longer side in pixels of the picture with boxes, masks or regions."""

_LEAD = (
    "Every token mixes three readings of each channel: its own, one taken somewhere along its "
    '<b class="w">row</b>, and one somewhere along its <b class="h">column</b>. An arc is one group of channels; it is '
    "as wide as the fusion lets its branch through. "
    '<span class="hint">Point at a picture to move the token, or use the arrow keys. <b>Read by</b> shows which tokens '
    "read the token; <b>Came from</b> follows its content back through all blocks to the pixels.</span>"
)
_ONLY_ANSWERS = (
    "This network shows only its answer: the places that tokens read are known of checkpoints of an ATMNet, not of "
    "exported files or other architectures."
)


def explored_page(explorations: Sequence[Exploration], *, bare: bool = False) -> str:
    """A page that shows explorations, two beside each other. It loads nothing; its script needs no network.

    Args:
        explorations: What to show. Viewers of the same picture follow each other's token.
        bare: Whether to leave out heading, facts and footer, for a page within another one.
    """
    sections = [Section(f'<section class="intro"><p class="lead">{_LEAD}</p></section>')]
    for exploration in explorations:
        sections.append(_section(exploration, sum(bool(section.looks) for section in sections)))
    models = list(dict.fromkeys(exploration.model for exploration in explorations))
    title = f"Where {' and '.join(models)} look{'s' * (len(models) == 1)}"
    kind = "bare " * bare + "pair" * (len(explorations) > 1)
    scripts = ["layers.js", "save.js"]
    return page_html(title, _facts(explorations), sections, scripts=scripts, kind=kind.strip())


def _facts(explorations: Sequence[Exploration]) -> dict[str, str]:
    names = dict.fromkeys(printable(exploration.name) for exploration in explorations)
    sizes = dict.fromkeys(str(exploration.size) for exploration in explorations)
    return {
        "Model": ", ".join(dict.fromkeys(exploration.model for exploration in explorations)),
        "Picture": ", ".join(names),
        "Size in pixels": ", ".join(sizes),
    }


def _section(exploration: Exploration, number: int) -> Section:
    """The part of one exploration, whose viewer has the number ``number``."""
    caption, answer = _caption(exploration), _answer(exploration)
    heading = f"<h2>{escape(printable(exploration.model))}</h2>"
    if exploration.seen is None:
        text = f'<p class="lead">{_ONLY_ANSWERS}</p><p class="who">{caption}</p>{answer}'
        return Section(f'<section class="explored">{heading}{text}</section>')
    values = pil_to_tensor(exploration.seen)
    examples = [surveyed_example(exploration.seen, values, exploration.fields, caption, answer)]
    html = (
        f'<section class="explored" data-viewer="{number}">{heading}{looks_html(examples, number)}'
        f'<p class="note">{_notes(exploration.fields)}</p></section>'
    )
    return Section(html, looks=looks_data(examples, picture=exploration.name, file=_file_name(exploration)))


def _notes(fields: list[Field]) -> str:
    notes = (
        "The fusion weights are the softmax of each block for this picture, means over channels. The residual "
        "connection is the norm of a block's input divided by the sum of this and the norm of what it adds. Where "
        "content came from follows both through all blocks; the MLPs move nothing between tokens."
    )
    thinned = [field for field in fields if field.drawn.size(3) < field.groups]
    if thinned:
        least = min(field.drawn.size(3) for field in thinned)
        notes += f" At this size the page has only some of the share groups of large stages, at least {least}."
    return notes


def _file_name(exploration: Exploration) -> str:
    return re.sub(r"[^\w.-]+", "-", f"{exploration.model}-{exploration.name}").strip("-.")[:80]


def _caption(exploration: Exploration) -> str:
    first, *rest = (escape(printable(text)) for text in exploration.answer.captions)
    name = f"{escape(printable(exploration.name))} at {exploration.size} pixels"
    return f'<b>{first}</b> <span>{", ".join(rest)}</span> <span class="file">{name}</span>'


def _answer(exploration: Exploration) -> str:
    """The classes, objects or regions of the answer, and for detectors and segmenters the drawing."""
    (key, values), *_ = exploration.answer.record.items()
    name, share = _ROWS[key]
    rows = "".join(
        f'<li><span>{escape(printable(value[name]))}</span><i style="--v:{100 * value[share]:.2f}%"></i>'
        f"<b>{percent(value[share], 1)}</b></li>"
        for value in values[:_MAX_ROWS]
    )
    html = f'<ol class="answers">{rows}</ol>' if rows else ""
    if key != "predictions":
        uri = data_uri(exploration.answer.draw(_DRAWING_SIDE))
        html += f'<img class="drawn" alt="{escape(printable(exploration.answer.text))}" src="{uri}">'
    return html


#: By the key of an answer's record: the keys of the name and of the share that a row shows.
_ROWS = {
    "predictions": ("class", "probability"),
    "objects": ("class", "score"),
    "regions": ("class", "share"),
}
