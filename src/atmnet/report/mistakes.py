"""The section with the mistakes in which the network was most confident."""

from html import escape

from PIL import Image

from atmnet.data import to_8_bits
from atmnet.predictions.canvas import TINY
from atmnet.report.content import Example, percent
from atmnet.report.pictures import data_uri

_MAX_SHOWN = 24
_SIDE = 176  # pixels of a thumbnail


def mistakes_section(mistakes: list[Example], classes: list[str], wrong: int, total: int) -> str:
    """HTML of the section; empty if nothing was evaluated or mistakes were made but not recorded.

    Args:
        mistakes: Recorded mistakes, the most confident first.
        classes: Names of the classes.
        wrong: Number of all mistakes.
        total: Number of evaluated images.
    """
    if not mistakes and (wrong or not total):
        return ""
    if not mistakes:
        lead, body = f"There are none: all {total:,} images were recognised.", ""
    else:
        shown = mistakes[:_MAX_SHOWN]
        counted = f"{wrong:,} of {total:,} images were mistaken. " if wrong else ""
        which = "All are shown" if len(shown) == wrong else f"Here are {len(shown)}"
        lead = f"{counted}{which}, the most confident first."
        body = f'<div class="mistakes">{"".join(_mistake(example, classes) for example in shown)}</div>'
    return f'<section id="mistakes"><h2>Most confident mistakes</h2><p class="lead">{lead}</p>{body}</section>'


def _mistake(example: Example, classes: list[str]) -> str:
    true = "" if example.target is None else f"<p><span>true</span> <b>{escape(classes[example.target])}</b></p>"
    return captioned(
        example.image,
        example.name,
        f'{true}<p><span>predicted</span> <b class="wrong">{escape(classes[example.predicted])}</b></p>'
        f'<p class="sure" style="--v:{100 * example.confidence:.0f}%"><i></i>{percent(example.confidence)}</p>',
    )


def captioned(picture: Image.Image, name: str, lines: str) -> str:
    """HTML of a thumbnail above lines of HTML and its name."""
    image = to_8_bits(picture)
    tiny = ' class="tiny"' if max(image.size) <= TINY else ""
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return (
        f'<figure><div><img{tiny} src="{data_uri(image)}" alt="{escape(name)}"></div><figcaption>'
        f'{lines}<p class="file">{escape(name)}</p></figcaption></figure>'
    )
