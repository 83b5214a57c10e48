"""The section with the images with the largest share of wrong pixels: image, labels, answer and errors.

Shapes: an image of H x W pixels, K classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt
from PIL import Image

from atmnet.data import to_8_bits
from atmnet.data.targets import IGNORE
from atmnet.predictions.colours import class_colours
from atmnet.predictions.label_maps import BACKGROUND
from atmnet.report.content import percent
from atmnet.report.overlay import overlay_uri, picture_svg, region, store, thumbnail
from atmnet.report.pictures import data_uri
from atmnet.report.worst_objects import WRONG

LabelMap = npt.NDArray[np.integer]

_MAX_ENTRIES = 8
_ERROR_FILL = 120


@dataclass(frozen=True)
class SegmentedImage:
    """An image with its label map (H, W), whose pixels of 255 are ignored, and the segmenter's answer (H, W)."""

    name: str
    image: Image.Image
    target: LabelMap
    output: LabelMap


def worst_label_maps_section(images: Iterator[SegmentedImage], classes: list[str]) -> str:
    """HTML of the section.

    Args:
        images: The worst images, the worst first; only one is in memory at a time.
        classes: Names of the K classes.
    """
    pictures: list[tuple[str, Image.Image, str]] = []
    figures = []
    for number, shown in enumerate(images):
        small = thumbnail(to_8_bits(shown.image))
        pictures.append((f"w{number}", small, data_uri(small)))
        figures.append(_figure(f"w{number}", shown, classes))
    lead = (
        f"Here are {len(figures)} images, those with the largest share of wrong pixels first. Ignored pixels are not "
        "counted."
        if figures
        else "There are none: every pixel was right."
    )
    return (
        f'<section id="mistakes"><h2>Worst images</h2><p class="lead">{lead}</p>{store(pictures)}'
        f'<div class="worst-images maps">{"".join(figures)}</div></section>'
    )


def _figure(name: str, shown: SegmentedImage, classes: list[str]) -> str:
    counted = shown.target != IGNORE
    wrong = counted & (shown.target != shown.output)
    size = shown.target.shape[1], shown.target.shape[0]
    colours = class_colours(len(classes))
    panels = [("image", ""), ("labels", _overlay(shown.target, classes)), ("answer", _overlay(shown.output, classes))]
    panels.append(("errors", overlay_uri([region(wrong, WRONG, _ERROR_FILL)])))
    html = "".join(
        f'<div class="panel{" errors" if title == "errors" else ""}">'
        f"{picture_svg(name, size, overlay, escape(f'{title} of {shown.name}'))}</svg><small>{title}</small></div>"
        for title, overlay in panels
    )
    drawn = np.union1d(shown.target[counted], shown.output)
    present = [k for k in drawn.tolist() if k < len(classes) and classes[k] != BACKGROUND]
    chips = "".join(
        f'<span><i style="background:rgb{colours[k]}"></i>{escape(classes[k])}</span>' for k in present[:_MAX_ENTRIES]
    )
    more = f"<span>and {len(present) - _MAX_ENTRIES} more</span>" if len(present) > _MAX_ENTRIES else ""
    share = percent(wrong.sum() / max(counted.sum(), 1), 1)
    return (
        f'<figure><div class="panels">{html}</div><figcaption><p class="file">{escape(shown.name)}</p>'
        f'<p>{share} <span>of the pixels are wrong</span></p><p class="chips">{chips}{more}</p></figcaption></figure>'
    )


def _overlay(label_map: LabelMap, classes: list[str]) -> str:
    """The regions of the classes; the class "background" stays clear."""
    colours = class_colours(len(classes))
    present = [k for k in np.unique(label_map).tolist() if k < len(classes) and classes[k] != BACKGROUND]
    return overlay_uri([region(label_map == k, colours[k]) for k in present]) if present else ""
