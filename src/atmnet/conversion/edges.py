"""Objects cut at the edges of their picture, for formats that have coordinates within it only."""

from collections.abc import Sequence
from dataclasses import replace

from atmnet.conversion.objects import DataImage, DataObject, DataPart, Losses
from atmnet.data.annotations import ROUNDED
from atmnet.data.coco import has_area
from atmnet.data.outlines import polygon_area

#: Overhang in pixels that is rounding and not said.
_ROUNDING = 10.0**-ROUNDED


def cut_at_edges(part: DataPart, losses: Losses) -> DataPart:
    """A split whose objects are within their pictures. Those that are wholly outside are left out."""
    return replace(part, images=[_cut_image(image, losses) for image in part.images])


def clip_polygon(points: Sequence[float], width: float, height: float) -> list[float]:
    """The part of a polygon x, y, x, y, ... within 0, 0, ``width``, ``height``; empty if nothing is.

    Where the polygon leaves and enters again, its parts are joined along the edge.

    Examples:
        >>> clip_polygon([-1, 0, 1, 0, 1, 1, -1, 1], 4, 4)
        [0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    """
    corners = [(float(x), float(y)) for x, y in zip(points[::2], points[1::2], strict=True)]
    for axis, limit, sign in ((0, 0.0, 1), (0, width, -1), (1, 0.0, 1), (1, height, -1)):
        kept: list[tuple[float, float]] = []
        for before, corner in zip(corners[-1:] + corners[:-1], corners, strict=True):
            distances = sign * (before[axis] - limit), sign * (corner[axis] - limit)
            if (distances[0] < 0) != (distances[1] < 0):
                share = distances[0] / (distances[0] - distances[1])
                other = before[1 - axis] + share * (corner[1 - axis] - before[1 - axis])
                kept.append((other, limit) if axis else (limit, other))
            if distances[1] >= 0:
                kept.append(corner)
        corners = kept
    return [value for corner in corners for value in corner]


def _cut_image(image: DataImage, losses: Losses) -> DataImage:
    objects = []
    for item in image.objects:
        x0, y0, x1, y1 = item.box
        if not has_area((x0, y0, x1 - x0, y1 - y0), image.height, image.width):
            losses.add("objects without area within the picture are left out")
            continue
        objects.append(_cut(item, image.width, image.height, losses))
    return replace(image, objects=objects)


def _cut(item: DataObject, width: int, height: int, losses: Losses) -> DataObject:
    x0, y0, x1, y1 = item.box
    xs = [x0, x1, *(value for points in item.polygons for value in points[::2])]
    ys = [y0, y1, *(value for points in item.polygons for value in points[1::2])]
    overhang = max(-min(xs), max(xs) - width, -min(ys), max(ys) - height)
    if overhang <= 0:
        return item
    losses.add("what is outside the picture is cut off", overhang > _ROUNDING)
    box = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    polygons = [clip_polygon(points, width, height) for points in item.polygons]
    return replace(item, box=box, polygons=[points for points in polygons if polygon_area(points) > 0])
