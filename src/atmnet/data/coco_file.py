"""The JSON file of a split in COCO's format: found, read, and held against itself."""

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions

#: What each list of the file must say of each of its items, and of which type.
_KEYS: dict[str, dict[str, type]] = {
    "images": {"id": int, "file_name": str, "width": int, "height": int},
    "annotations": {"id": int, "image_id": int, "category_id": int, "bbox": list},
    "categories": {"id": int, "name": str},
}


@dataclass
class CocoFile:
    """What a split's JSON says, and the folder of its images; ids are as found, and may contradict each other."""

    path: Path
    folder: Path
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    categories: list[dict[str, Any]]


def choose_classes(file: CocoFile, classes: list[str] | None) -> list[str]:
    """``classes``, or those of the file by ascending id.

    Raises:
        UserError: Where the file repeats a name or id, or has others than ``classes``.
    """
    names = [category["name"] for category in sorted(file.categories, key=lambda category: category["id"])]
    for kind, values in (("name", names), ("id", [category["id"] for category in file.categories])):
        if twice := [value for value, count in Counter(values).items() if count > 1]:
            raise UserError(f"{file.path}: categories: {kind} {twice[0]!r} occurs more than once")
    if classes is None:
        return names
    beyond, missing = (sorted(a - b) for a, b in ((set(names), set(classes)), (set(classes), set(names))))
    if beyond or missing:
        raise UserError(
            f"{file.path}: its categories are not the classes to learn: "
            + "; ".join(f"{what} {', '.join(found[:5])}" for what, found in
                        (("unknown are", beyond), ("missing are", missing)) if found)
        )  # fmt: skip
    return classes


def read_coco(options: DataOptions, split: str) -> CocoFile:
    """Read the JSON file of a split; its items have what they must, but may contradict each other.

    Args:
        options: ``root`` holds ``annotations/instances_SPLIT.json``, and the images in ``SPLIT`` or ``images/SPLIT``.
        split: Its name; or "IMAGES:ANNOTATIONS.json", folder and file, for another layout, relative to ``root``.

    Raises:
        UserError: Where file or images are missing, or the file is not of COCO's format.
    """
    path, folder = _find(options, split)
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
        raise UserError(f"{path}: it has {len(images)} images and {len(categories)} categories; expected at least one")
    return CocoFile(path, folder, images, annotations, categories)


def _problem(item: Any, keys: dict[str, type]) -> str:
    if not isinstance(item, dict):
        return f"is {item!r}"
    for key, kind in keys.items():
        if key not in item:
            return f"lacks {key!r}"
        if type(item[key]) is not kind:
            return f"has {key} {item[key]!r}, not of type {kind.__name__}"
    return ""


def contradictions(file: CocoFile) -> dict[str, list[int]]:
    """Kind of problem -> ids of the images or annotations that have it; data with any cannot be used as it is."""
    images = {image["id"] for image in file.images}
    categories = {category["id"] for category in file.categories}
    found = {
        "image id more than once": _repeated(file.images),
        "annotation id more than once": _repeated(file.annotations),
        "annotation of an unknown image": [a["id"] for a in file.annotations if a["image_id"] not in images],
        "annotation of an unknown category": [a["id"] for a in file.annotations if a["category_id"] not in categories],
        "bbox that is not four numbers": [a["id"] for a in file.annotations if not _is_box(a["bbox"])],
        "area that is not a number": [a["id"] for a in file.annotations if not _is_number(a.get("area", 0))],
    }
    return {kind: ids for kind, ids in found.items() if ids}


def _repeated(items: list[dict[str, Any]]) -> list[int]:
    return [number for number, count in Counter(item["id"] for item in items).items() if count > 1]


def _is_box(bbox: list[Any]) -> bool:
    return len(bbox) == 4 and all(map(_is_number, bbox))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _find(options: DataOptions, split: str) -> tuple[Path, Path]:
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
