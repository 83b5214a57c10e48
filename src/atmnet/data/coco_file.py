"""The JSON file of a split in COCO's format: where it is, how it is read, and whether it is consistent."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions

#: The keys that the items of each list must have, and the types of their values.
_KEYS: dict[str, dict[str, type]] = {
    "images": {"id": int, "file_name": str, "width": int, "height": int},
    "annotations": {"id": int, "image_id": int, "category_id": int, "bbox": list},
    "categories": {"id": int, "name": str},
}


class CocoImage(TypedDict):
    """An image in COCO's format."""

    id: int
    file_name: str
    width: int
    height: int


class _RequiredKeys(TypedDict):
    id: int
    image_id: int
    category_id: int
    bbox: list[float]


class CocoAnnotation(_RequiredKeys, total=False):
    """An object in COCO's format; ``bbox`` is x, y, width and height in pixels."""

    area: float
    iscrowd: int
    segmentation: object


class CocoCategory(TypedDict):
    """A class in COCO's format."""

    id: int
    name: str


@dataclass
class CocoFile:
    """The JSON file of a split, and the folder of its images. Ids are as in the file and may contradict each other."""

    path: Path
    folder: Path
    images: list[CocoImage]
    annotations: list[CocoAnnotation]
    categories: list[CocoCategory]


def choose_classes(file: CocoFile, classes: list[str] | None) -> list[str]:
    """``classes``; if they are None, the categories of the file by ascending id.

    Raises:
        UserError: If the file repeats a name or an id, or its categories differ from ``classes``.
    """
    names = [category["name"] for category in sorted(file.categories, key=lambda category: category["id"])]
    ids = [category["id"] for category in file.categories]
    columns: tuple[tuple[str, Sequence[str | int]], ...] = (("name", names), ("id", ids))
    for kind, values in columns:
        if repeated := [value for value, count in Counter(values).items() if count > 1]:
            raise UserError(f"{file.path}: categories: {kind} {repeated[0]!r} occurs more than once")
    if classes is None:
        return names
    unknown, missing = sorted(set(names) - set(classes)), sorted(set(classes) - set(names))
    if unknown or missing:
        differences = "; ".join(
            f"{kind}: {', '.join(group[:5])}" for kind, group in (("unknown", unknown), ("missing", missing)) if group
        )
        raise UserError(f"{file.path}: its categories are not the expected classes; {differences}")
    return classes


def read_coco(options: DataOptions, split: str) -> CocoFile:
    """Read the JSON file of a split. Its items have the required keys, but may contradict each other.

    Args:
        options: ``root`` contains ``annotations/instances_SPLIT.json``, and the images in ``SPLIT`` or
            ``images/SPLIT``.
        split: Name of the split; or "IMAGES:ANNOTATIONS.json", a folder and a file relative to ``root``, for another
            layout.

    Raises:
        UserError: If the file or the images are missing, or the file is not in COCO's format.
    """
    path, folder = _find_files(options, split)
    try:
        with path.open(encoding="utf-8") as stream:
            content = json.load(stream)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path}: not a JSON file: {error}") from error
    lists = []
    for name, keys in _KEYS.items():
        items = content.get(name) if isinstance(content, dict) else None
        if not isinstance(items, list):
            raise UserError(f"{path}: expected COCO's format, with lists {', '.join(_KEYS)}; {name!r} is missing")
        for number, item in enumerate(items):
            if problem := _problem(item, keys):
                raise UserError(f"{path}: {name}[{number}] {problem}; expected {', '.join(keys)}")
        lists.append(items)
    images, annotations, categories = lists
    if not images or not categories:
        raise UserError(
            f"{path}: it has {len(images)} images and {len(categories)} categories; expected at least one of each"
        )
    return CocoFile(path, folder, images, annotations, categories)


def _problem(item: object, keys: dict[str, type]) -> str:
    """What is wrong with an item; an empty string if it has all the keys, with values of their types."""
    if not isinstance(item, dict):
        return f"is {item!r}"
    for key, kind in keys.items():
        if key not in item:
            return f"lacks {key!r}"
        if type(item[key]) is not kind:
            return f"has {key} {item[key]!r}, not of type {kind.__name__}"
    return ""


def contradictions(file: CocoFile) -> dict[str, list[int]]:
    """Kind of problem -> ids of the images or annotations that have it; a file with problems cannot be used."""
    images = {image["id"] for image in file.images}
    categories = {category["id"] for category in file.categories}
    problems = {
        "image id more than once": _repeated(file.images),
        "annotation id more than once": _repeated(file.annotations),
        "annotation of an unknown image": [a["id"] for a in file.annotations if a["image_id"] not in images],
        "annotation of an unknown category": [a["id"] for a in file.annotations if a["category_id"] not in categories],
        "bbox that is not four numbers": [a["id"] for a in file.annotations if not _is_box(a["bbox"])],
        "area that is not a number": [a["id"] for a in file.annotations if not _is_number(a.get("area", 0))],
    }
    return {kind: ids for kind, ids in problems.items() if ids}


def _repeated(items: Sequence[CocoImage | CocoAnnotation]) -> list[int]:
    return [number for number, count in Counter(item["id"] for item in items).items() if count > 1]


def _is_box(bbox: list[float]) -> bool:
    return len(bbox) == 4 and all(map(_is_number, bbox))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _find_files(options: DataOptions, split: str) -> tuple[Path, Path]:
    """The JSON file of a split and the folder of its images."""
    root = Path(options.root)
    folder, colon, name = split.rpartition(":")
    if colon and name.endswith(".json"):
        path, folders = root / name, [root / folder]
    elif not options.root:
        raise UserError("data.root: expected the folder that holds annotations and images; none given")
    else:
        path, folders = root / "annotations" / f"instances_{split}.json", [root / split, root / "images" / split]
    if not path.is_file():
        raise UserError(f"{path}: no such file (see data.root, data.train, data.val)")
    for candidate in folders:
        if candidate.is_dir():
            return path, candidate
    raise UserError(f"{' and '.join(map(str, folders))}: no such folder; expected the images of {path.name}")
