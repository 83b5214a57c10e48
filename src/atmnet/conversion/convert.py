"""Write a data set in another format."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from atmnet.conversion.checks import check_classes, check_images, read_back
from atmnet.conversion.coco import write_coco
from atmnet.conversion.cvat import write_cvat
from atmnet.conversion.edges import cut_at_edges
from atmnet.conversion.labelme import write_labelme
from atmnet.conversion.labels import check_folder_names, check_table_names, labelled_images, table_rows, write_table
from atmnet.conversion.labelstudio import write_labelstudio
from atmnet.conversion.objects import DataPart, Losses, read_part, without_crowd
from atmnet.conversion.voc import write_voc
from atmnet.conversion.yolo import write_yolo
from atmnet.data.coco import CocoSplit
from atmnet.data.coco_checks import leads_out
from atmnet.data.sources import choose_source, find_source, open_split
from atmnet.files import whole_folder
from atmnet_cli.errors import UserError, refuse_options
from atmnet_cli.options import ConvertOptions, DataOptions, Kind


@dataclass(frozen=True)
class _Format:
    """The facts of a format of boxes and masks.

    Attributes:
        write: Writes a split into the folder of the data set, and returns that for its pictures.
        by_stem: Whether the annotations of a picture are in a file of its name.
        has_classes: Whether it says which classes there are, and in which order.
        strict_names: Whether it can only hold names of classes without control characters and outer spaces.
        has_crowd: Whether it has regions of uncounted objects.
        is_within: Whether boxes and masks must be within the picture.
        refused_folders: Names of folders that it has for something else.
    """

    write: Callable[[DataPart, Path, Losses], Path]
    by_stem: bool = False
    has_classes: bool = True
    strict_names: bool = True
    has_crowd: bool = False
    is_within: bool = False
    refused_folders: tuple[str, ...] = ()


_FORMATS = {
    "coco": _Format(write_coco, strict_names=False, has_crowd=True),
    # Programs replace the last folder 'images' in the path of a picture by 'labels'.
    "yolo": _Format(write_yolo, by_stem=True, strict_names=False, is_within=True, refused_folders=("images",)),
    "voc": _Format(write_voc, by_stem=True, has_classes=False, has_crowd=True, is_within=True),
    "labelme": _Format(write_labelme, by_stem=True, has_classes=False),
    "cvat": _Format(write_cvat),
    "labelstudio": _Format(write_labelstudio, has_classes=False, is_within=True),
}


def convert(options: ConvertOptions) -> list[str]:
    """Write both splits of a data set in another format. The folder appears once everything is written.

    Args:
        options: The data set, the format, and the folder, which must be new or empty.

    Returns:
        Lines that say what was read and written, and what the format cannot hold.

    Raises:
        UserError: For data that the format has no place for, boxes of a picture that is missing, unreadable or of
            another size, or a folder that is not empty.
    """
    data, line = choose_source(options.data, "detection" if options.to in _FORMATS else "classification")
    refuse_options(data, ["img_size", "max_unreadable", "workers"], "convert", prefix="data.")
    kind = _kind(data, options.to)
    if options.images == "none" and options.to == "folder":
        raise UserError("images: got 'none', but a folder of classes consists of images; use copy or link")
    with whole_folder(Path(options.output), "output") as partial:
        if kind == "detection":
            lines = _convert_objects(data, options, partial)
        else:
            lines = _convert_labels(data, options, partial, kind)
    return [*filter(None, [line]), *lines]


def _kind(data: DataOptions, to: str) -> Kind:
    """The kind of data to convert.

    Raises:
        UserError: If the source does not have the kind that the format is for.
    """
    kinds = find_source(data).kinds
    if to in _FORMATS:
        if "detection" not in kinds:
            raise UserError(f"to: {to} is for boxes and masks, and {data.source} has labels of whole images")
        if data.source == "scenes":
            raise UserError("data.source: `atmnet make-scenes` writes scenes in COCO's format")
        return "detection"
    if "multilabel" in kinds and to == "table":
        return "multilabel"
    if "classification" in kinds:
        return "classification"
    raise UserError(f"to: {to} is for labels of whole images, and {data.source} has {' and '.join(kinds)}")


def _convert_objects(data: DataOptions, options: ConvertOptions, root: Path) -> list[str]:
    losses, lines = Losses(), []
    form = _FORMATS[options.to]
    classes: list[str] | None = None
    parts: list[DataPart] = []
    for split, name in (("train", data.train), ("val", data.val)):
        source = open_split(data, name, "detection", classes)
        assert isinstance(source, CocoSplit)
        classes = source.classes
        try:
            part = read_part(source, split, losses)
        except ValueError as error:
            raise UserError(f"{data.root}: a mask of split {name}: {error}; `atmnet check-data` lists all") from error
        if form.strict_names:
            check_classes(classes, options.to)
        count = sum(len(image.objects) for image in part.images)
        check_images(part, options.to, form.by_stem, form.strict_names, form.refused_folders)
        if not form.has_crowd:
            part = without_crowd(part, losses)
        if form.is_within:
            part = cut_at_edges(part, losses)
        pictures = form.write(part, root, losses)
        for image in part.images:
            _place(image.path, pictures / image.name, options.images)
        lines.append(f"{split}: {len(part.images)} images, {count} objects of {len(classes)} classes")
        if options.images == "none":
            lines.append(f"{split}: put its images into {pictures.relative_to(root).as_posix()}")
        parts.append(part)
    if not form.has_classes:
        (root / "classes.txt").write_text("".join(f"{name}\n" for name in classes or ()), encoding="utf-8")
        lines.append(f"{options.to} has no list of classes: classes.txt has their order, for --data.classes")
    if options.images != "none":
        read_back(parts, options.to, root)
    return lines + [f"note: {text}" for text in losses.lines()]


def _convert_labels(data: DataOptions, options: ConvertOptions, root: Path, kind: Kind) -> list[str]:
    lines, rows = [], []
    classes: list[str] | None = None
    for split, name in (("train", data.train), ("val", data.val)):
        source = open_split(data, name, kind, classes)
        classes = source.classes
        (check_folder_names if options.to == "folder" else check_table_names)(classes)
        written: list[tuple[str, list[str]]] = []
        taken: Counter[str] = Counter()
        for image in labelled_images(source):
            base = f"{image.labels[0]}/" if options.to == "folder" else ""
            own_name = _unused(base + (PurePosixPath(image.name).name if base else image.name), taken)
            if leads_out(own_name):  # archives have names of any kind
                raise UserError(f"{data.root}: {image.name[:80]!r}: expected the path of an image in the data set")
            target = root / split / own_name
            if isinstance(image.file, bytes) and options.images != "none":
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(image.file)
            elif isinstance(image.file, Path):
                _place(image.file, target, options.images)
            written.append((own_name, image.labels))
        rows += table_rows(split, written)
        lines.append(f"{split}: {len(written)} images of {len(classes)} classes")
    if options.to == "table":
        write_table(rows, root / "labels.csv")
    return lines


def _unused(name: str, taken: Counter[str]) -> str:
    """The name, with a number if another picture of the split already has it, in capitals or not."""
    key = name.casefold()
    taken[key] += 1
    if taken[key] == 1:
        return name
    stem, dot, ending = name.rpartition(".")
    return _unused(f"{stem}-{taken[key]}{dot}{ending}", taken)


def _place(source: Path, target: Path, how: str) -> None:
    """Copy or link a picture, or leave it where it is."""
    if how == "none":
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if how == "copy":
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError as error:
        raise UserError(f"images: {source} cannot be linked ({error.strerror}); use --images copy") from error
