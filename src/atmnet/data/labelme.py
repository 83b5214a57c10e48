"""Polygons, rectangles and circles in LabelMe's format: one JSON file beside each picture."""

import math
from pathlib import Path

from atmnet.data.annotations import (
    Annotations,
    find_folder,
    is_finite,
    picture_size,
    pictures_by_stem,
    portable_name,
)
from atmnet.data.coco_file import CocoFile
from atmnet.data.listing import natural_key
from atmnet.data.outlines import ellipse, rectangle
from atmnet.data.own_split import own_part_of
from atmnet.records import Record
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions

_FARTHEST = 1e6
#: Shapes that have no area, and are left out.
_WITHOUT_AREA = ("point", "points", "line", "linestrip")


def read_labelme(options: DataOptions, split: str, classes: list[str] | None = None) -> CocoFile:
    """Read a split. Shapes of one label and ``group_id`` are parts of one object; points and lines are left out.

    Args:
        options: ``root`` contains a folder ``SPLIT`` of pictures with JSON files beside them. If these are directly in
            ``root``, they are divided, see :mod:`atmnet.data.own_split`.
        split: The name of the folder.
        classes: Class names of the training split. Default: the labels of the shapes, in natural order.

    Raises:
        UserError: If the split is missing, or a file is not in LabelMe's format.
    """
    root = Path(options.root)
    if not options.root or not root.is_dir():
        raise UserError(f"data.root: got {options.root!r}, expected the folder of data in LabelMe's format")
    part = find_folder(root, split, ("{}",))
    if part is None and not any(root.glob("*.json")):
        raise UserError(f"{root}: no split {split!r}; expected a folder {split} of images and JSON files")
    folder = part or root
    pictures = pictures_by_stem(folder)
    result = Annotations(folder, folder)
    files = sorted(folder.rglob("*.json"), key=lambda file: natural_key(str(file.relative_to(folder))))
    for file in files:
        record = Record.read(file)
        if "shapes" in record:
            _add_file(result, file, record, pictures)
    coco = result.to_coco(classes)
    return own_part_of(coco, options, split) if part is None else coco


def _add_file(result: Annotations, file: Path, record: Record, pictures: dict[str, str]) -> None:
    inside = file.parent.relative_to(result.folder)
    written = portable_name(record.text("imagePath", default=""))
    name = pictures.get((inside / file.stem).as_posix()) or (inside / (written or f"{file.stem}.jpg")).as_posix()
    size = picture_size(result.folder / name)
    image = result.add_image(name, size, file)
    shapes = record.value["shapes"]
    if not isinstance(shapes, list):
        raise UserError(f"{file}: shapes: expected a list")
    objects: dict[object, tuple[str, list[list[float]]]] = {}
    for number, value in enumerate(shapes):
        shape = Record(value, f"{file}: shapes[{number}]")
        label, kind = shape.text("label"), shape.text("shape_type", default="polygon")
        if kind not in _WITHOUT_AREA:
            group = shape.value.get("group_id")
            key = number if group is None else (label, str(group))
            objects.setdefault(key, (label, []))[1].append(_outline(kind, shape))
    if size is not None:
        for label, polygons in objects.values():
            result.add_polygons(image, label, polygons)


def _outline(kind: str, shape: Record) -> list[float]:
    """The polygon x, y, x, y, ... of a shape."""
    points = shape.value.get("points")
    if not isinstance(points, list) or not all(_is_point(point) for point in points):
        raise UserError(f"{shape.where}: points: expected a list of pairs of numbers in pixels of the image")
    if kind == "polygon" and len(points) >= 3:
        return [float(value) for point in points for value in point]
    if kind == "rectangle" and len(points) in (2, 4):
        xs, ys = zip(*points, strict=True)
        x0, y0, x1, y1 = map(float, (min(xs), min(ys), max(xs), max(ys)))
        return rectangle(x0, y0, x1, y1)
    if kind == "circle" and len(points) == 2:
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        return ellipse(x, y, radius, radius)
    raise UserError(
        f"{shape.where}: got a {kind!r:.40} of {len(points)} points, expected a polygon of at least 3, or a rectangle "
        "or circle of 2"
    )


def _is_point(point: object) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2
        and all(type(value) in (int, float) for value in point)
        and is_finite(point, -_FARTHEST, _FARTHEST)
    )
