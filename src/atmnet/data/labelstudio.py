"""Rectangles, ellipses and polygons in Label Studio's formats JSON and JSON_MIN: one list of tasks.

Coordinates are percentages of the width and height of the picture.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from atmnet.data.annotations import ROUNDED, Annotations, find_folder, is_picture, picture_size
from atmnet.data.coco_file import CocoFile
from atmnet.data.listing import list_pictures, natural_key
from atmnet.data.outlines import ellipse, rectangle, turned
from atmnet.data.own_split import own_part_of
from atmnet.records import Record, read_json, short
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions

_MAX_BYTES = 512 * 2**20
#: Percentages may exceed the picture by its own size.
_LOW, _HIGH = -100.0, 200.0
#: What Label Studio puts before the name of an uploaded file.
_UPLOAD = re.compile(r"^[0-9a-f]{8}-")
#: Key of the labels of a region -> the keys of its numbers. Regions of brushes are refused, others left out.
_REGIONS = {
    "rectanglelabels": ("x", "y", "width", "height"),
    "ellipselabels": ("x", "y", "radiusX", "radiusY"),
    "polygonlabels": (),
}
_BRUSH = "brushlabels"


def read_labelstudio(options: DataOptions, split: str, classes: list[str] | None = None) -> CocoFile:
    """Read a split. A task's first annotation that was not cancelled counts; tasks without one are left out.

    Args:
        options: ``root`` contains a file ``SPLIT.json`` or a folder ``SPLIT`` with one JSON file, and the pictures in
            any folder below. One other JSON file directly in ``root`` is divided, see :mod:`atmnet.data.own_split`.
        split: The name of the file or folder.
        classes: Class names of the training split. Default: the labels of the regions, in natural order.

    Raises:
        UserError: If the split is missing, or the file is not in Label Studio's format.
    """
    root = Path(options.root)
    if not options.root or not root.is_dir():
        raise UserError(f"data.root: got {options.root!r}, expected the folder of an export of Label Studio")
    path, folder, is_undivided = _find_file(root, split)
    tasks = read_json(path, _MAX_BYTES)
    if not isinstance(tasks, list):
        raise UserError(f"{path}: got {short(tasks)}, expected a list of tasks, as Label Studio's JSON has it")
    pictures = _Pictures(folder)
    result = Annotations(path, folder)
    ids: set[object] = set()
    regions, choices = 0, 0
    for number, value in enumerate(tasks):
        task = Record(value, f"{path}: [{number}]")
        identity = value.get("id") if isinstance(value.get("id"), int | str) else f"task {number}"
        if identity in ids:
            continue  # JSON_MIN has a record for each annotation of a task
        items = _annotation(task)
        written = _picture_of(task)
        if items is None:
            result.note("task without annotation, left out", written)
            continue
        ids.add(identity)
        name = pictures.locate(written)
        size = picture_size(folder / name)
        image = result.add_image(name, size, None)
        for index, item in enumerate(items):
            region = Record(item, f"{task.where}: region {index}")
            choices += "choices" in _value_of(region)
            regions += _add_region(result, image, region, size, name)
    if choices and not regions:
        raise UserError(
            f"{path}: its tasks have choices and no regions, which is classification: copy each picture into a folder "
            f"of its class, {options.train}/CLASS/NAME and {options.val}/CLASS/NAME, and use data.source folder"
        )
    coco = result.to_coco(classes)
    return own_part_of(coco, options, split) if is_undivided else coco


def _find_file(root: Path, split: str) -> tuple[Path, Path, bool]:
    """The file of a split, the folder that contains its pictures, and whether the file is for all splits."""
    for name in (split, "valid", "validation") if split == "val" else (split,):
        if (path := root / f"{name}.json").is_file():
            return path, root, False
    part = find_folder(root, split, ("{}",))
    for folder in (part, root):
        files = sorted(folder.glob("*.json"), key=lambda file: natural_key(file.name)) if folder else []
        if len(files) > 1:
            raise UserError(
                f"{folder}: {files[0].name} and {files[1].name}; expected one JSON file, or {split}.json in {root}"
            )
        if folder and files:
            return files[0], folder, folder == root
    raise UserError(f"{root}: no split {split!r}; expected {split}.json, or a folder {split} with one JSON file")


class _Pictures:
    """Finds the pictures of tasks, whose paths are those of Label Studio's server, among the files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        names = [PurePosixPath(name.replace("\\", "/")) for name in list_pictures(folder).pictures]
        self._paths = {str(name) for name in names}
        self._by_name: dict[str, list[str]] = {}
        for name in names:
            # Label Studio replaces spaces in the names of uploaded files.
            self._by_name.setdefault(name.name.replace(" ", "_"), []).append(str(name))

    def locate(self, written: str) -> str:
        """Path of the picture within the folder; the last part of ``written`` if there is none.

        Raises:
            UserError: If several pictures have the name, and the path does not say which.
        """
        parts = PurePosixPath(written).parts
        for start in range(len(parts)):
            if (path := "/".join(parts[start:])) in self._paths:
                return path
        last = parts[-1]
        for name in (last, _UPLOAD.sub("", last)):
            paths = self._by_name.get(name.replace(" ", "_"), [])
            if len(paths) > 1:
                raise UserError(
                    f"{self._folder}: {written[:80]}: {paths[0]} and {paths[1]} have this name; expected one"
                )
            if paths:
                return paths[0]
        return last


def _picture_of(task: Record) -> str:
    """The decoded path in a task's address of its picture, with / between its parts."""
    data = task.record("data").value if "data" in task else task.value
    texts = [data[key] for key in sorted(data, key=lambda key: key != "image") if isinstance(data[key], str)]
    for text in texts:
        address = text.replace("\\", "/")
        try:
            parts = urlsplit(address)
            path = parse_qs(parts.query).get("d", [unquote(parts.path)])[-1]
        except ValueError:
            continue
        if is_picture(path) and "\0" not in path:
            return path
    raise UserError(f"{task.where}: expected the address of a picture, such as /data/upload/1/NAME.jpg, in 'image'")


def _annotation(task: Record) -> list[Any] | None:
    """The regions of the first annotation that was not cancelled; None if there is none."""
    if "annotations" in task or "data" in task:
        annotations = task.value.get("annotations")
        if not isinstance(annotations, list):
            raise UserError(f"{task.where}: annotations: got {short(annotations)}, expected a list")
        for value in annotations:
            annotation = Record(value, f"{task.where}: annotations")
            if not annotation.boolean("was_cancelled", default=False):
                result = annotation.value.get("result")
                if not isinstance(result, list):
                    raise UserError(f"{annotation.where}: result: got {short(result)}, expected a list")
                return result
        return None
    lists = [value for value in task.value.values() if isinstance(value, list)]
    regions = [item for value in lists for item in value if isinstance(item, dict)]
    return [*regions, *([{"choices": []}] if "choice" in task else [])]


def _value_of(region: Record) -> dict[str, Any]:
    """The labels and coordinates: of JSON in 'value', of JSON_MIN in the region itself."""
    return region.record("value").value if "value" in region else region.value


def _add_region(result: Annotations, image: int, region: Record, size: tuple[int, int] | None, name: str) -> bool:
    """Add a region, unless it is of a kind that is left out, and return whether it was one with a box or mask."""
    value = Record(_value_of(region), region.where)
    if _BRUSH in value:
        raise UserError(
            f"{region.where}: masks of brushes are not read; export from Label Studio as COCO, or draw polygons"
        )
    kind = next((key for key in _REGIONS if key in value), None)
    if kind is None:
        if "choices" not in value:
            result.note("region that is no rectangle, ellipse or polygon with a label, left out", name)
        return False
    labels = value.texts(kind)
    if not labels:
        result.note("region without a label, left out", name)
        return False
    if region.number("image_rotation", default=0):
        raise UserError(f"{region.where}: image_rotation: got {short(region.value['image_rotation'])}, expected 0")
    if size is None:
        return True
    width, height = size
    annotated = region.integer("original_width", 1, default=width), region.integer("original_height", 1, default=height)
    if annotated != size:
        raise UserError(
            f"{region.where}: original_width and original_height are {annotated[0]} and {annotated[1]}, but "
            f"{name[:80]} has {width}x{height} pixels; expected the annotated picture"
        )
    turn = value.number("rotation", -36000, 36000, default=0.0)
    if kind == "polygonlabels":
        points = value.value.get("points")
        if not isinstance(points, list) or len(points) < 3:
            raise UserError(f"{region.where}: points: got {short(points)}, expected at least three pairs")
        pairs = [Record({"point": point}, region.where).numbers("point", 2, _LOW, _HIGH) for point in points]
        result.add_polygons(image, labels[0], [_in_pixels([v for pair in pairs for v in pair], size)])
        return True
    x, y, w, h = _in_pixels([value.number(key, _LOW, _HIGH) for key in _REGIONS[kind]], size)
    if kind == "ellipselabels":
        result.add_polygons(image, labels[0], [turned(ellipse(x, y, w, h), turn, x, y)])
    elif turn:
        result.add_polygons(image, labels[0], [turned(rectangle(x, y, x + w, y + h), turn, x, y)])
    else:
        result.add_box(image, labels[0], (x, y, x + w, y + h))
    return True


def _in_pixels(percentages: list[float], size: tuple[int, int]) -> list[float]:
    # Rounded, since a corner of 29.999999999999996 pixels would move the mask's edge by a pixel.
    return [round(value * size[i % 2] / 100, ROUNDED) for i, value in enumerate(percentages)]
