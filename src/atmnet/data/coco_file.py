"""The JSON file of a split in COCO's format: where it is, how it is read, and which classes it has."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from atmnet.data.class_names import nearest, normal_form, read_class_file, repeated_forms
from atmnet.records import read_json, short
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions

#: The keys that the items of each list must have, and the types of their values.
_KEYS: dict[str, dict[str, type]] = {
    "images": {"id": int, "file_name": str, "width": int, "height": int},
    "annotations": {"id": int, "image_id": int, "category_id": int, "bbox": list},
    "categories": {"id": int, "name": str},
}
#: Limit of ids and sizes in both directions; larger integers do not fit into floats and tensors.
_LARGEST = 2**53

#: Files of exports without splits: of CVAT, Roboflow, Label Studio, and of others.
_UNDIVIDED = (
    "annotations/instances_default.json", "_annotations.coco.json", "result.json", "annotations.json",
    "annotations/annotations.json", "annotations/instances.json", "coco.json",
)  # fmt: skip


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
    """The annotations of a split, and the folder of its images. Ids are as in the file and may contradict each other.

    ``path`` names the split in errors; ``files`` are its annotation files, by default that path. ``own_part`` says
    that the split was chosen by :mod:`atmnet.data.own_split`. ``notes`` says what was left out:
    kind -> names of images.
    """

    path: Path
    folder: Path
    images: list[CocoImage]
    annotations: list[CocoAnnotation]
    categories: list[CocoCategory]
    files: tuple[Path, ...] | None = None
    own_part: bool = False
    notes: dict[str, list[str]] = field(default_factory=dict)


def named_classes(options: DataOptions, classes: list[str] | None) -> list[str] | None:
    """``classes``, else the names in the file ``options.classes``; None without both."""
    return read_class_file(options.classes) if classes is None and options.classes else classes


def choose_classes(file: CocoFile, options: DataOptions, classes: list[str] | None) -> list[str]:
    """The class names of a split, in the order of the labels.

    Args:
        file: The contents of the split.
        options: ``classes`` is a text file of class names; with ``used_classes``, classes without objects are left out.
        classes: Class names of the training split, to open another split, or None for the training split itself.

    Returns:
        ``classes``; if they are None, those in the file ``options.classes``, else the categories by ascending id.

    Raises:
        UserError: If the file repeats a name or an id, lacks a class, or has objects of another class.
    """
    categories = sorted(file.categories, key=lambda category: category["id"])
    names = [category["name"] for category in categories]
    if repeated := repeated_forms(names):
        raise UserError(f"{file.path}: categories: name {short(repeated[1])} occurs more than once")
    counts = Counter(category["id"] for category in categories)
    if counts and max(counts.values()) > 1:
        raise UserError(f"{file.path}: categories: id {max(counts, key=counts.__getitem__)} occurs more than once")
    used_ids = {annotation["category_id"] for annotation in file.annotations}
    used = {normal_form(category["name"]) for category in categories if category["id"] in used_ids}
    chosen = named_classes(options, classes) or [normal_form(name) for name in names]
    forms, present = {normal_form(name) for name in chosen}, {normal_form(name) for name in names}
    unknown, missing = sorted(used - forms), sorted(forms - present)
    if unknown or missing:
        differences = "; ".join(
            f"{kind}: {', '.join(group[:5])}" for kind, group in (("unknown", unknown), ("missing", missing)) if group
        )
        hint = nearest(unknown[0], missing) if unknown else ""
        raise UserError(f"{file.path}: its categories are not the expected classes; {differences}{hint}")
    if classes is None and options.used_classes:
        chosen = [name for name in chosen if normal_form(name) in used]
        if not chosen:
            raise UserError(f"{file.path}: no class has objects; leave out data.used_classes")
    return chosen


def read_coco(options: DataOptions, split: str, classes: list[str] | None = None) -> CocoFile:
    """Read the JSON file of a split. Its items have the required keys, but may contradict each other.

    Args:
        options: ``root`` contains ``annotations/instances_SPLIT.json``, and the images in ``SPLIT`` or
            ``images/SPLIT``.
        split: Name of the split; or "IMAGES:ANNOTATIONS.json", a folder and a file relative to ``root``, for another
            layout.
        classes: Not used, since the format declares its classes.

    Raises:
        UserError: If the file or the images are missing, or the file is not in COCO's format.
    """
    if not options.root and not split.endswith(".json"):
        raise UserError("data.root: expected the folder that holds annotations and images; none given")
    path, folders = locate_coco(options, split)
    if not path.is_file():
        raise UserError(f"{path}: no such file (see data.root, data.train, data.val)")
    return read_file(path, folders)


def read_file(path: Path, folders: Sequence[Path]) -> CocoFile:
    """Read a JSON file, whose images are in the first of ``folders`` that has the first of them, else that exists.

    Raises:
        UserError: If the images are missing, or the file is not in COCO's format.
    """
    existing = [folder for folder in folders if folder.is_dir()]
    if not existing:
        raise UserError(f"{' and '.join(map(str, folders))}: no such folder; expected the images of {path.name}")
    # NaN is read, since Python's own writer writes it, so that the annotations that have it can be named.
    content = read_json(path, max_bytes=None, constants=float)
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
    # os.path.isfile is false for a name that no file can have.
    fitting = [folder for folder in existing if os.path.isfile(folder / images[0]["file_name"])]
    return CocoFile(path, (fitting or existing)[0], images, annotations, categories)


def _problem(item: object, keys: dict[str, type]) -> str:
    """What is wrong with an item; an empty string if it has all the keys, with values of their types."""
    if not isinstance(item, dict):
        return f"is {short(item)}"
    for key, kind in keys.items():
        if key not in item:
            return f"lacks {key!r}"
        value: Any = item[key]
        if type(value) is not kind:
            return f"has {key} {short(value)}, not of type {kind.__name__}"
        if kind is int and abs(item[key]) > _LARGEST:
            return f"has {key} {short(value)}, which is too large"
    return ""


def locate_coco(options: DataOptions, split: str) -> tuple[Path, list[Path]]:
    """Where the JSON file of a split should be, and the folders in which its images may be.

    Roboflow writes ``SPLIT/_annotations.coco.json`` beside the images, and calls the validation split 'valid'.
    """
    root = Path(options.root)
    folder, colon, name = split.rpartition(":")
    if colon and name.endswith(".json"):
        return root / name, [root / folder]
    for beside in (root / split, root / "valid") if split == "val" else (root / split,):
        if (path := beside / "_annotations.coco.json").is_file():
            return path, [beside]
    return root / "annotations" / f"instances_{split}.json", [root / split, root / "images" / split]


def undivided_coco(options: DataOptions) -> tuple[Path, list[Path]] | None:
    """The one JSON file of a data set without splits, and the folders in which its images may be; else None.

    It is that of the training split if there is no other JSON file, or has one of the names that tools give it.
    """
    root = Path(options.root)
    if options.val != "val" or ":" in options.train or locate_coco(options, options.val)[0].is_file():
        return None
    path, folders = locate_coco(options, options.train)
    if path.is_file():
        others = {*root.glob("annotations/*.json"), *root.glob("*/_annotations.coco.json")} - {path}
        return None if others else (path, folders)
    paths = [root / name for name in _UNDIVIDED if (root / name).is_file()]
    return (paths[0], [root / "images" / "default", root / "images", root]) if len(paths) == 1 else None
