"""Boxes, polygons and masks in CVAT's format "CVAT for images 1.1": one annotations.xml for all pictures."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from atmnet.data.annotations import Annotations, find_folder, is_finite, picture_size
from atmnet.data.coco_file import CocoFile
from atmnet.data.outlines import ellipse, rectangle, turned
from atmnet.data.own_split import own_part_of
from atmnet.data.xml_file import read_xml, text_of
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions

#: The file of an export.
CVAT_FILE = "annotations.xml"
_MAX_BYTES = 256 * 2**20
_FARTHEST = 1e6
#: The subset of pictures for which the project names none.
_NO_SUBSET = "default"
_SHAPES = ("box", "polygon", "ellipse", "mask")
#: Elements of an image that are no boxes or masks, and are left out.
_LEFT_OUT = ("polyline", "points", "cuboid", "skeleton", "tag")


def read_cvat(options: DataOptions, split: str, classes: list[str] | None = None) -> CocoFile:
    """Read a split. Polylines, points, cuboids, skeletons and tags are left out, as `atmnet check-data` notes.

    Args:
        options: ``root`` contains a folder ``SPLIT`` with the export of a task; or it is the export of a project, whose
            subsets are the splits. The export of one task is divided, see :mod:`atmnet.data.own_split`.
        split: The name of the folder or, in upper or lower case, of the subset.
        classes: Not used if the file declares its labels, as CVAT's own exports do.

    Raises:
        UserError: If the split is missing, or the file is not in CVAT's format for images.
    """
    root = Path(options.root)
    if not options.root or not root.is_dir():
        raise UserError(f"data.root: got {options.root!r}, expected the folder of an export of CVAT")
    part = find_folder(root, split, ("{}",))
    in_part = part is not None and (part / CVAT_FILE).is_file()
    base = part if part is not None and in_part else root
    path = base / CVAT_FILE
    content = read_xml(path, _MAX_BYTES)
    if content.tag != "annotations":
        raise UserError(f"{path}: got <{content.tag[:40]}>, expected <annotations>, as CVAT for images 1.1 has it")
    if content.find("track") is not None:
        raise UserError(f"{path}: it has tracks of a video; export it from CVAT as 'CVAT for images 1.1'")
    elements = content.findall("image")
    subsets = {subset for element in elements if (subset := element.get("subset", _NO_SUBSET)) != _NO_SUBSET}
    if subsets and not in_part:
        names = (split, "valid", "validation") if split == "val" else (split,)
        chosen = {subset for subset in subsets if subset.casefold() in {name.casefold() for name in names}}
        if not chosen:
            raise UserError(
                f"{path}: no subset {split!r}; it has {', '.join(sorted(subsets))[:200]} (see data.train, data.val)"
            )
        elements = [element for element in elements if element.get("subset") in chosen]
    folder = base / "images" if (base / "images").is_dir() else base
    result = Annotations(path, folder)
    for element in elements:
        _add_image(result, element)
    coco = result.to_coco(list(_declared_labels(content)) or classes)
    return coco if subsets or in_part else own_part_of(coco, options, split)


def _declared_labels(content: ElementTree.Element) -> Iterator[str]:
    """Names of the labels in the order of the task or project, without the parts of skeletons."""
    meta = content.find("meta")
    names: set[str] = set()
    for label in meta.iter("label") if meta is not None else ():
        name = text_of(label, "name")
        if name and name not in names and label.find("parent") is None:
            names.add(name)
            yield name


def _add_image(result: Annotations, element: ElementTree.Element) -> None:
    written = element.get("name", "").replace("\\", "/")
    where = f"{result.path}: image {written[:80]!r}"
    if not written:
        raise UserError(f"{result.path}: an <image> has no name; expected the path of the picture")
    name = _locate(result.folder, written, element.get("subset", ""), where)
    size = picture_size(result.folder / name)
    annotated = _annotated_size(element, where)
    # A size that contradicts the picture is reported when the picture is loaded.
    image = result.add_image(name, annotated if size else None, None)
    for shape in element:
        if shape.get("outside") == "1":
            continue
        if shape.tag in _LEFT_OUT:
            result.note(f"{shape.tag}: no box or mask, left out", name)
        elif shape.tag in _SHAPES:
            if size is not None and (size == annotated or shape.tag != "mask"):
                _add_shape(result, image, shape, annotated, where)
        else:
            raise UserError(f"{where}: got <{shape.tag[:40]}>, expected {', '.join((*_SHAPES, *_LEFT_OUT))}")


def _locate(folder: Path, name: str, subset: str, where: str) -> str:
    """The path of a picture within the folder; that of the file, if there is none."""
    path = PurePosixPath(name)
    candidates = [path, PurePosixPath(subset) / path, PurePosixPath(path.name), PurePosixPath(subset) / path.name]
    inside = [each for each in candidates if not each.is_absolute() and ".." not in each.parts and ":" not in str(each)]
    if not inside:
        raise UserError(f"{where}: expected the path of a picture in {folder}")
    for candidate in inside:
        if os.path.isfile(folder / candidate):  # false, as Path.is_file is not, if the name is too long
            return str(candidate)
    return str(inside[0])


def _annotated_size(element: ElementTree.Element, where: str) -> tuple[int, int]:
    width, height = _numbers(element, ("width", "height"), where)
    if not (width >= 1 and height >= 1 and width == int(width) and height == int(height)):
        raise UserError(f"{where}: got width {width:g} and height {height:g}, expected whole numbers of pixels")
    return int(width), int(height)


def _add_shape(result: Annotations, image: int, shape: ElementTree.Element, size: tuple[int, int], where: str) -> None:
    label = shape.get("label", "")
    where = f"{where}: <{shape.tag}> {label[:40]!r}"
    if not label:
        raise UserError(f"{where}: expected a label")
    turn = _numbers(shape, ("rotation",), where)[0] if "rotation" in shape.attrib else 0.0
    if shape.tag == "mask":
        mask, left, top = _mask_part(shape, size, where)
        if mask.any():
            result.add_mask(image, label, mask, (left, top), size)
    elif shape.tag == "polygon":
        result.add_polygons(image, label, [_points(shape, where)])
    elif shape.tag == "ellipse":
        x, y, radius_x, radius_y = _numbers(shape, ("cx", "cy", "rx", "ry"), where)
        result.add_polygons(image, label, [turned(ellipse(x, y, radius_x, radius_y), turn, x, y)])
    else:
        x0, y0, x1, y1 = _numbers(shape, ("xtl", "ytl", "xbr", "ybr"), where)
        if turn:
            corners = turned(rectangle(x0, y0, x1, y1), turn, (x0 + x1) / 2, (y0 + y1) / 2)
            result.add_polygons(image, label, [corners])
        else:
            result.add_box(image, label, (x0, y0, x1, y1))


def _points(shape: ElementTree.Element, where: str) -> list[float]:
    text = shape.get("points", "")
    try:
        points = [float(value) for pair in text.split(";") for value in pair.split(",")]
    except ValueError:
        points = []
    if len(points) < 6 or len(points) % 2 or not is_finite(points, -_FARTHEST, _FARTHEST):
        raise UserError(f"{where}: points: got {text[:40]!r}, expected at least three points x,y;x,y;x,y in pixels")
    return points


def _mask_part(shape: ElementTree.Element, size: tuple[int, int], where: str) -> tuple[NDArray[np.bool_], int, int]:
    """The mask of a part of the picture, and its left upper corner. Runs are of rows, and the first is of zeros."""
    left, top, width, height = map(int, _numbers(shape, ("left", "top", "width", "height"), where))
    if left < 0 or top < 0 or width < 1 or height < 1 or left + width > size[0] or top + height > size[1]:
        raise UserError(f"{where}: left, top, width and height lead out of the picture of {size[0]}x{size[1]} pixels")
    text = shape.get("rle", "")
    try:
        runs = [int(run) for run in text.split(",")]
    except ValueError:
        runs = []
    if not runs or min(runs) < 0 or sum(runs) != width * height:
        raise UserError(f"{where}: rle: got {text[:40]!r}, expected runs that sum to {width * height} pixels")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(height, width), left, top


def _numbers(element: ElementTree.Element, names: tuple[str, ...], where: str) -> list[float]:
    values = []
    for name in names:
        text = element.get(name, "")
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not is_finite([value], -_FARTHEST, _FARTHEST):
            raise UserError(f"{where}: {name}: got {text[:40]!r}, expected a number of pixels or degrees")
        values.append(value)
    return values
