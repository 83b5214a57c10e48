"""Read every image, mask and label map of a data set, and list errors and notes, as :mod:`atmnet.data.check` does."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from atmnet.data.ade20k import (
    Ade20kSplit,
    class_names,
    list_ade20k,
    out_of_range,
    shifted_labels,
    to_classes,
)
from atmnet.data.check import SplitCheck, add_picture, note_names
from atmnet.data.coco import CocoRecord, CocoSplit, ReadAnnotations, has_area, require_masks
from atmnet.data.coco_checks import contradictions, crowd_classes, crowd_problems
from atmnet.data.coco_file import CocoFile, choose_classes, named_classes, read_coco
from atmnet.data.images import UnreadableImage, open_picture, read_image
from atmnet.data.label_maps import read_label_map
from atmnet.data.masks import decode_mask
from atmnet.data.targets import IGNORE
from atmnet.records import short
from atmnet_cli.options import DataOptions

#: Pixels by which a box may exceed the image without a note, since annotation tools round coordinates.
_TOLERANCE = 1


def check_coco(
    options: DataOptions, split: str, classes: list[str] | None = None, read: ReadAnnotations = read_coco
) -> SplitCheck:
    """Read all images and annotations of a split in COCO's format, or in one that ``read`` reads.

    Args:
        options: Where the data set is; see :func:`~atmnet.data.coco.open_coco`.
        split: The value of ``options.train`` or ``options.val``.
        classes: Class names of the training split, to check another split. Default: those of the split itself.
        read: Reads the annotations.

    Raises:
        UserError: If the split is missing, is not in COCO's format, or has other classes.
    """
    require_masks(options)
    file = read(options, split, named_classes(options, classes))
    classes = choose_classes(file, options, classes)
    problems = contradictions(file)
    consistent = _consistent(file, problems)
    implausible = crowd_problems(consistent, options.crowd)
    source = CocoSplit(consistent, classes, options)
    check = SplitCheck(source, options.range)
    for kind, left_out in file.notes.items():
        check.notes[kind] += left_out
    for kind, ids in {**problems, **implausible}.items():
        check.errors[kind] += [f"id {number}" for number in ids]
    crowds: Counter[int] = Counter()
    names: set[str] = set()
    for index in range(len(source)):
        record = source.record(index)
        _check_objects(check, record)
        crowds.update(item["label"] for item in record["objects"] if item["iscrowd"])
        if record["file_name"] in names:
            check.notes["file of several images"].append(record["file_name"])
        names.add(record["file_name"])
        image = _check_picture(check, record["file_name"], source.path(index), options)
        if image is not None and image.size != (record["width"], record["height"]):
            check.errors["picture whose size differs from its annotation"].append(
                f"{record['file_name']} (is {image.width}x{image.height}, "
                f"annotated as {record['width']}x{record['height']})"
            )
    if mostly := crowd_classes(check.labels, crowds, classes):
        check.notes["class most of whose annotations are crowd regions (see data.crowd)"] += mostly
    _note_unused_classes(check, "class without objects (--data.used_classes true leaves it out)")
    note_names(check, classes)
    return check


def check_ade20k(options: DataOptions, split: str, classes: list[str] | None = None) -> SplitCheck:
    """Read all images and label maps of a split in ADE20K's format.

    Args:
        options: Where the data set is; see :func:`~atmnet.data.ade20k.open_ade20k`.
        split: The value of ``options.train`` or ``options.val``.
        classes: Class names of the training split, to check another split. Default: those of the data set.

    Raises:
        UserError: If the split is missing or empty, or the class names are missing.
    """
    files = list_ade20k(options, split)
    source = Ade20kSplit(files, classes or class_names(options), options)
    check = SplitCheck(source, options.range)
    for path in files.without_map:
        check.errors["image without a label map"].append(str(path.relative_to(files.images)))
    for path in files.without_image:
        check.errors["label map without an image"].append(str(path.relative_to(files.maps)))
    for path in files.same_name:
        check.errors["same name as another file, but for the extension"].append(str(path))
    for kind, names in files.left_out.items():
        check.notes[kind] += names
    for notice in shifted_labels(source.classes, source.ignore_zero):
        check.notes[notice].append(source.classes[0])
    note_names(check, source.classes)
    for index in range(len(source)):
        picture, label_map = source.paths(index)
        image = _check_picture(check, source.name(index), picture, options)
        _check_label_map(check, source, index, label_map, None if image is None else image.size)
    _note_unused_classes(check, "class that no label map contains")
    return check


def _consistent(file: CocoFile, problems: dict[str, list[int]]) -> CocoFile:
    """The first image of each id, and the annotations that do not contradict the file."""
    bad_images, bad = (
        {
            number
            for kind, ids in problems.items()
            if "more than once" not in kind and kind.startswith("image") == of_images
            for number in ids
        }
        for of_images in (True, False)
    )
    images = {image["id"]: image for image in reversed(file.images) if image["id"] not in bad_images}
    annotations = [a for a in file.annotations if a["id"] not in bad and a["image_id"] not in bad_images]
    return replace(file, images=list(images.values()), annotations=annotations)


def _check_objects(check: SplitCheck, record: CocoRecord) -> None:
    height, width = record["height"], record["width"]
    if not record["objects"]:
        check.notes["image without objects"].append(record["file_name"])
    boxes: set[tuple[float, ...]] = set()
    for item in record["objects"]:
        name = f"{record['file_name']}, annotation {item['id']}"
        check.labels[item["label"]] += 1
        x, y, w, h = item["bbox"]
        if (item["label"], x, y, w, h) in boxes:
            check.notes["object annotated twice: same class and box"].append(name)
        boxes.add((item["label"], x, y, w, h))
        if w <= 0 or h <= 0:
            check.errors["empty box: left out"].append(f"{name} {item['bbox']}")
        elif not has_area(item["bbox"], height, width):
            check.errors["box outside the image: left out"].append(f"{name} {item['bbox']}")
        elif min(x, y) < -_TOLERANCE or x + w > width + _TOLERANCE or y + h > height + _TOLERANCE:
            check.notes["box beyond the image's edge: clipped in training"].append(f"{name} {item['bbox']}")
        if item["iscrowd"]:
            check.notes["crowd region: not trained on, ignored in evaluation"].append(name)
        _check_mask(check, name, item["segmentation"], height, width)


def _check_mask(check: SplitCheck, name: str, segmentation: object, height: int, width: int) -> None:
    if not segmentation:
        check.notes["object without a mask: its box is the mask"].append(name)
        return
    if isinstance(segmentation, dict) and segmentation.get("size") != [height, width]:
        check.errors["mask whose size differs from the image's"].append(
            f"{name} (is {short(segmentation.get('size'))}, image {[height, width]})"
        )
        return
    try:
        empty = not decode_mask(segmentation, height, width).any()
    except (ValueError, TypeError, RuntimeError) as error:
        check.errors["mask that cannot be decoded"].append(f"{name} ({error})")
        return
    if empty:
        check.notes["empty mask"].append(name)


def _check_label_map(
    check: SplitCheck, source: Ade20kSplit, index: int, path: Path, size: tuple[int, int] | None
) -> None:
    name = source.name(index)
    try:
        labels = read_label_map(path)
    except UnreadableImage as error:
        check.errors["unreadable label map"].append(f"{name} ({error})")
        return
    height, width = labels.shape
    if size is not None and size != (width, height):
        check.errors["label map whose size differs from the image's"].append(
            f"{name} (is {width}x{height}, image {size[0]}x{size[1]})"
        )
    if invalid := out_of_range(labels, len(source.classes), source.ignore_zero):
        check.errors["label out of range"].append(f"{name} ({', '.join(map(str, invalid[:5]))})")
        return
    classes = Counter(np.unique(to_classes(labels, source.ignore_zero)).tolist())
    del classes[IGNORE]
    if not classes:
        check.notes["label map that contains only ignored pixels"].append(name)
    check.labels.update(classes)


def _check_picture(check: SplitCheck, name: str, path: Path, options: DataOptions) -> Image.Image | None:
    if not path.is_file():
        check.errors["missing file"].append(name)
        return None
    try:
        image = read_image(path, "RGB", options.range)
        with open_picture(path) as raw:
            add_picture(check, name, image, raw)
    except UnreadableImage as error:
        check.errors["unreadable"].append(f"{name} ({error})")
        return None
    return image


def _note_unused_classes(check: SplitCheck, kind: str) -> None:
    for label, name in enumerate(check.source.classes):
        if check.labels[label] == 0:
            check.notes[kind].append(name)
