"""Draws a label map on its image. H x W pixels."""

import numpy as np
from PIL import Image, ImageChops, ImageFilter
from torch import Tensor

from atmnet.predictions.canvas import lettering_for, scaled, with_legend
from atmnet.predictions.colours import class_colours

_OPACITY = 0.25
BACKGROUND = "background"
"""Name of a class that is neither coloured nor listed in the legend."""


def draw_label_map(image: Image.Image, label_map: Tensor, classes: list[str], side: int | None = None) -> Image.Image:
    """Outline the regions of each class, fill them lightly, and add a legend with the share of each, largest first.

    Small images are enlarged. Pixels of a class named "background" and pixels whose label is not a class, such as those
    to be ignored, keep their colours.

    Args:
        image: The image, of any mode.
        label_map: (H, W), indices into ``classes``; stretched if it is not of the image's size.
        classes: Names of all classes. A class has the same colour in all images.
        side: Longer side of the drawing without its legend, in pixels; see :func:`~atmnet.predictions.canvas.scaled`.
    """
    colours = class_colours(len(classes))
    sheet, _ = scaled(image, side)
    labels = label_map.cpu().numpy()
    is_class = labels < len(classes)
    is_coloured = is_class & (labels != classes.index(BACKGROUND)) if BACKGROUND in classes else is_class
    palette = np.array([*colours, (0, 0, 0)], dtype=np.uint8)
    coloured = _stretch(Image.fromarray(palette[np.where(is_coloured, labels, len(classes))]), sheet.size)
    opacity = _stretch(Image.fromarray(is_coloured.astype(np.uint8) * round(255 * _OPACITY)), sheet.size)
    sheet = Image.composite(coloured, sheet, opacity)
    borders = _borders(coloured, max(2, round(max(sheet.size) / 250)))
    sheet.paste(coloured, mask=ImageChops.darker(borders, opacity.point(lambda v: 255 if v else 0)))
    counts = np.bincount(labels[is_class].astype(np.int64), minlength=len(classes))
    order = [k for k in np.argsort(-counts, kind="stable").tolist() if counts[k]]
    order = [k for k in order if classes[k] != BACKGROUND]
    entries = [(colours[k], classes[k], _percent(counts[k] / labels.size)) for k in order]
    return with_legend(sheet, entries, lettering_for(sheet))


def _stretch(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, Image.Resampling.NEAREST)


def _borders(coloured: Image.Image, line: int) -> Image.Image:
    """A mask of the borders between colours, as lines of about ``line`` pixels."""
    width = 2 * (line // 2) + 3
    change = ImageChops.difference(coloured.filter(ImageFilter.MaxFilter(3)), coloured.filter(ImageFilter.MinFilter(3)))
    red, green, blue = change.split()
    edge = ImageChops.lighter(ImageChops.lighter(red, green), blue).point(lambda v: 255 if v else 0)
    return edge if width <= 3 else edge.filter(ImageFilter.MaxFilter(width - 2))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"
