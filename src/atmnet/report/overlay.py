"""Regions of an image as a transparent picture: outlines with a light fill, so that the image below stays visible.

Shapes: an image of H x W pixels.
"""

import base64
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

from atmnet.predictions.canvas import TINY
from atmnet.predictions.colours import Colour

SIDE = 420
"""Longest side in pixels of overlays and of the pictures below them."""

_LINE = 3
_FILL = 46
"""Opacity of the fill, of 255."""

Region = tuple[npt.NDArray[np.bool_], Colour, int]
"""Pixels (H, W), colour, and opacity of the fill."""


def region(pixels: npt.NDArray[np.bool_], colour: Colour, fill: int = _FILL) -> Region:
    """A region with the default opacity of its fill."""
    return pixels, colour, fill


def overlay_uri(regions: Sequence[Region]) -> str:
    """The regions (H, W) of an image, as the data URI of a transparent PNG of the image's aspect ratio.

    Of regions that overlap, the last one is on top.
    """
    height, width = regions[0][0].shape
    factor = SIDE / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    sheet = Image.new("RGBA", size)
    for pixels, colour, fill in regions:
        inside = Image.fromarray(pixels.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)
        edge = ImageChops.subtract(inside, inside.filter(ImageFilter.MinFilter(2 * _LINE - 1)))
        opacity = ImageChops.lighter(inside.point(lambda v, fill=fill: fill if v else 0), edge)
        layer = Image.new("RGBA", size, colour)
        layer.putalpha(opacity)
        sheet = Image.alpha_composite(sheet, layer)
    file = io.BytesIO()
    sheet.quantize(32, Image.Quantize.FASTOCTREE).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def thumbnail(image: Image.Image) -> Image.Image:
    """A copy of an RGB image, reduced to :data:`SIDE` pixels if it is larger."""
    image = image.copy()
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return image


def picture_svg(name: str, size: tuple[int, int], overlay: str = "", label: str = "") -> str:
    """The opening of a panel: an svg element with the stored picture ``name`` and an overlay; not closed.

    Args:
        name: id of the picture; see :func:`store`.
        size: Width and height of the image, which are the units of what is drawn on the panel.
        overlay: Data URI of the overlay.
        label: Text for readers who do not see the panel, escaped.
    """
    width, height = size
    html = (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {width} {height}">'
        f'<use href="#{name}" transform="scale({width} {height})"/>'
    )
    if overlay:
        html += f'<image width="{width}" height="{height}" preserveAspectRatio="none" href="{overlay}"/>'
    return html


def store(pictures: Sequence[tuple[str, Image.Image, str]]) -> str:
    """A hidden element with pictures (id, image, data URI) of size 1 x 1, so that each is in the file only once."""
    images = "".join(
        f'<image id="{name}"{" class=tiny" if max(image.size) <= TINY else ""} width="1" height="1" '
        f'preserveAspectRatio="none" href="{uri}"/>'
        for name, image, uri in pictures
    )
    return f'<svg class="store" aria-hidden="true"><defs>{images}</defs></svg>'
