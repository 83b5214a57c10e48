"""Read every image, mask and label map of a data set and list what is wrong with it, or merely worth knowing."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atmnet.data.ade20k import (
    Ade20kSource,
    class_names,
    list_ade20k,
    out_of_range,
    read_label_map,
    to_classes,
)
from atmnet.data.check import SplitCheck, note_picture
from atmnet.data.coco import CocoSource, decode_mask, has_area, require_masks
from atmnet.data.coco_file import CocoFile, choose_classes, contradictions, read_coco
from atmnet.data.images import UnreadableImage, read_image
from atmnet.data.source import read_class_file
from atmnet.data.targets import IGNORE
from atmnet_cli.options import DataOptions

#: Pixels by which boxes may stick out unmentioned: annotators round.
_OVER = 1


def check_coco(options: DataOptions, split: str, classes: list[str] | None = None) -> SplitCheck:
    """Read all of a split in COCO's format; ``classes`` are those of the training split, for another one.

    Raises:
        UserError: Where the split is missing, not of COCO's format, or of other classes.
    """
    require_masks()
    file = read_coco(options, split)
    if classes is None and options.classes:
        classes = read_class_file(options.classes)
    classes = choose_classes(file, classes)
    problems = contradictions(file)
    check = SplitCheck(CocoSource(_consistent(file, problems), classes))
    for kind, ids in problems.items():
        check.errors[kind] += [f"id {number}" for number in ids]
    for index in range(len(check.source)):
        record = check.source.record(index)
        _check_objects(check, record)
        image = _check_picture(check, record["file_name"], check.source.folder / record["file_name"])
        if image is not None and image.size != (record["width"], record["height"]):
            check.errors["picture of another size than annotated"].append(
                f"{record['file_name']} (is {image.width}x{image.height}, "
                f"annotated as {record['width']}x{record['height']})"
            )
    _note_unseen(check, "class without objects")
    return check


def check_ade20k(options: DataOptions, split: str, classes: list[str] | None = None) -> SplitCheck:
    """Read all of a split in ADE20K's format; ``classes`` are those of the training split, for another one.

    Raises:
        UserError: Where the split is missing or empty, or classes have no names.
    """
    files = list_ade20k(options, split)
    source = Ade20kSource(files, classes or class_names(options), options.ignore_zero)
    check = SplitCheck(source)
    for path in files.without_map:
        check.errors["image without a label map"].append(str(path.relative_to(files.images)))
    for path in files.without_image:
        check.errors["label map without an image"].append(str(path.relative_to(files.maps)))
    for index in range(len(source)):
        picture, labels = source.paths(index)
        image = _check_picture(check, source.name(index), picture)
        _check_label_map(check, source.name(index), labels, None if image is None else image.size)
    _note_unseen(check, "class that no label map shows")
    return check


def _consistent(file: CocoFile, problems: dict[str, list[int]]) -> CocoFile:
    """The first image of each id, and the annotations that have nothing to be refused for."""
    images = {image["id"]: image for image in reversed(file.images)}
    bad = {number for kind, ids in problems.items() if "more than once" not in kind for number in ids}
    return replace(file, images=list(images.values()), annotations=[a for a in file.annotations if a["id"] not in bad])


def _check_objects(check: SplitCheck, record: dict[str, Any]) -> None:
    height, width = record["height"], record["width"]
    if not record["objects"]:
        check.notes["image without objects"].append(record["file_name"])
    for thing in record["objects"]:
        name = f"{record['file_name']}, annotation {thing['id']}"
        check.labels[thing["label"]] += 1
        x, y, w, h = thing["bbox"]
        if w <= 0 or h <= 0:
            check.errors["empty box: left out"].append(f"{name} {thing['bbox']}")
        elif not has_area(thing["bbox"], height, width):
            check.errors["box outside the image: left out"].append(f"{name} {thing['bbox']}")
        elif min(x, y) < -_OVER or x + w > width + _OVER or y + h > height + _OVER:
            check.notes["box beyond the image's edge: clipped in training"].append(f"{name} {thing['bbox']}")
        if thing["iscrowd"]:
            check.notes["crowd region: not trained on, forgiven in evaluation"].append(name)
        _check_mask(check, name, thing["segmentation"], height, width)


def _check_mask(check: SplitCheck, name: str, segmentation: Any, height: int, width: int) -> None:
    if not segmentation:
        check.notes["object without a mask: its box is the mask"].append(name)
        return
    if isinstance(segmentation, dict) and list(segmentation.get("size", [])) != [height, width]:
        check.errors["mask of another size than the image"].append(
            f"{name} (is {segmentation.get('size')}, image {[height, width]})"
        )
        return
    try:
        empty = not decode_mask(segmentation, height, width).any()
    except (ValueError, TypeError, RuntimeError) as error:
        check.errors["mask that cannot be decoded"].append(f"{name} ({error})")
        return
    if empty:
        check.notes["mask without a pixel"].append(name)


def _check_label_map(check: SplitCheck, name: str, path: Path, size: tuple[int, int] | None) -> None:
    source = check.source
    try:
        numbers = read_label_map(path)
    except UnreadableImage as error:
        check.errors["unreadable label map"].append(f"{name} ({error})")
        return
    height, width = numbers.shape
    if size is not None and size != (width, height):
        check.errors["label map of another size than the image"].append(
            f"{name} (is {width}x{height}, image {size[0]}x{size[1]})"
        )
    if beyond := out_of_range(numbers, len(source.classes), source.ignore_zero):
        check.errors["label out of range"].append(f"{name} ({', '.join(map(str, beyond[:5]))})")
        return
    shown = Counter(np.unique(to_classes(numbers, source.ignore_zero)).tolist())
    del shown[IGNORE]
    if not shown:
        check.notes["label map of nothing but ignored pixels"].append(name)
    check.labels.update(shown)


def _check_picture(check: SplitCheck, name: str, path: Path) -> Image.Image | None:
    if not path.is_file():
        check.errors["missing file"].append(name)
        return None
    try:
        image = read_image(str(path), "RGB")
    except UnreadableImage as error:
        check.errors["unreadable"].append(f"{name} ({error})")
        return None
    with Image.open(path) as raw:
        note_picture(check, name, image, raw)
    return image


def _note_unseen(check: SplitCheck, kind: str) -> None:
    for label, name in enumerate(check.source.classes):
        if check.labels[label] == 0:
            check.notes[kind].append(name)
