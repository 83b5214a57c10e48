"""A label map drawn on its picture. H x W pixels."""

import numpy as np
from PIL import Image, ImageChops, ImageFilter
from torch import Tensor

from atmnet.predictions.canvas import enlarged, font_for, with_legend
from atmnet.predictions.colours import class_colours

_COVER = 0.6
"""How much a colour hides of the picture."""
_BACKGROUND = "background"
"""Class that is left as it is, and told of without a colour."""


def draw_label_map(image: Image.Image, label_map: Tensor, classes: list[str]) -> Image.Image:
    """The picture under the colours of its pixels' classes, and a legend with the share of each, the largest first.

    Small pictures are enlarged. Pixels whose label is no class, as those to be ignored, are left as they are, and so
    are those of a class that is called "background".

    Args:
        image: The picture, of any mode.
        label_map: (H, W), indices into ``classes``; of the picture's size, or stretched to it.
        classes: Names of all classes, which have the same colours in all pictures.
    """
    colours = class_colours(len(classes))
    sheet, _ = enlarged(image)
    labels = label_map.cpu().numpy()
    known = labels < len(classes)
    shown = known & (labels != classes.index(_BACKGROUND)) if _BACKGROUND in classes else known
    palette = np.array([*colours, (0, 0, 0)], dtype=np.uint8)
    coloured = _stretched(Image.fromarray(palette[np.where(shown, labels, len(classes))]), sheet.size)
    cover = _stretched(Image.fromarray(shown.astype(np.uint8) * round(255 * _COVER)), sheet.size)
    sheet = Image.composite(coloured, sheet, cover)
    sheet.paste((255, 255, 255), mask=_borders(coloured, max(1, round(max(sheet.size) / 500))))
    counts = np.bincount(labels[known].astype(np.int64), minlength=len(classes))
    order = [k for k in np.argsort(-counts, kind="stable").tolist() if counts[k]]
    order = [k for k in order if classes[k] != _BACKGROUND]
    entries = [(colours[k], classes[k], _percent(counts[k] / labels.size)) for k in order]
    return with_legend(sheet, entries, font_for(sheet))


def _stretched(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, Image.Resampling.NEAREST)


def _borders(coloured: Image.Image, line: int) -> Image.Image:
    """Where colours meet: a mask for lines of about ``line`` pixels."""
    reach = 2 * (line // 2) + 3
    change = ImageChops.difference(coloured.filter(ImageFilter.MaxFilter(3)), coloured.filter(ImageFilter.MinFilter(3)))
    red, green, blue = change.split()
    edge = ImageChops.lighter(ImageChops.lighter(red, green), blue).point(lambda v: 255 if v else 0)
    return edge if reach <= 3 else edge.filter(ImageFilter.MaxFilter(reach - 2))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"
