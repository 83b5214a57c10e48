"""Pictures with one label or several, from a table; see :mod:`atmnet.data.label_table`.

Shapes: K classes.
"""

import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from atmnet.data.check import SplitCheck, add_picture, note_classes
from atmnet.data.class_names import class_indices, read_class_file
from atmnet.data.images import UnreadableImage, open_picture, read_image
from atmnet.data.inventory import Inventory, file_sizes
from atmnet.data.label_table import LabelTable, read_table
from atmnet.data.own_split import Picture, own_part
from atmnet.data.table_files import OF_ALL, OF_SPLIT, find_pictures, locate_table, split_names, with_ending
from atmnet.records import short
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions, Kind


@dataclass
class TableSplit:
    """Pictures with sets of labels.

    Attributes:
        folder: Folder of the pictures.
        names: Names of the pictures, relative to the folder.
        classes: Class names; a label is an index into them.
        starts: Where the labels of each picture begin in ``labels``, and the end of the last.
        labels: The labels of all pictures.
        kind: 'classification' for a target that is a label, 'multilabel' for one that is a set.
        range: See ``data.range``.
        own_part: Whether the split was chosen by :mod:`atmnet.data.own_split`.
        notices: What to tell the user before training.
    """

    folder: Path
    names: list[str]
    classes: list[str]
    starts: NDArray[np.int64]
    labels: NDArray[np.int64]
    kind: Kind
    range: tuple[float, float] | None
    own_part: bool
    notices: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def labels_of(self, index: int) -> NDArray[np.int64]:
        """The labels of a picture."""
        return self.labels[self.starts[index] : self.starts[index + 1]]

    def path(self, index: int) -> Path:
        """The picture's file."""
        return self.folder / self.names[index]

    def load(self, index: int, mode: str) -> tuple[Image.Image, int | Tensor]:
        """The picture in 'RGB' or 'L', and its label; or its labels as (K,), float32, 1 for those that it has.

        Raises:
            UnreadableImage: If the picture is missing or cannot be decoded.
        """
        image = read_image(str(self.path(index)), mode, self.range)
        labels = self.labels_of(index)
        return image, int(labels[0]) if self.kind == "classification" else self._several(labels)

    def blank(self, mode: str) -> tuple[Image.Image, int | Tensor]:
        """A blank picture with label 0, or without labels."""
        return Image.new(mode, (32, 32)), 0 if self.kind == "classification" else self._several(self.labels[:0])

    def name(self, index: int) -> str:
        """The picture's name, relative to the folder."""
        return self.names[index]

    def inventory(self) -> Inventory:
        """The pictures with their sizes and labels."""
        sizes = file_sizes([self.folder / name for name in self.names])
        if self.kind == "classification":
            return Inventory(self.classes, self.names, sizes, self.labels.tolist())
        content = hashlib.sha256(self.starts.tobytes() + self.labels.tobytes()).hexdigest()
        return Inventory(self.classes, self.names, sizes, facts={"table of labels": content})

    def _several(self, labels: NDArray[np.int64]) -> Tensor:
        target = torch.zeros(len(self.classes))
        target[torch.from_numpy(labels)] = 1
        return target


def open_table(options: DataOptions, split: str, kind: Kind, classes: list[str] | None = None) -> TableSplit:
    """Open a split.

    Args:
        options: Where the data set is.
        split: The value of ``options.train`` or ``options.val``; a name that ends in .csv is that of the table.
        kind: 'classification' or 'multilabel'.
        classes: Class names of the training split. Default: those in the file ``options.classes``, else those of the
            table.

    Raises:
        UserError: If there is no such table, none of its pictures exists, it has classes that are not in ``classes``,
            or, for classification, a picture does not have one label.
    """
    if not options.root or not Path(options.root).is_dir():
        raise UserError(f"data.root: got {options.root!r}, expected the folder of a table of labels and its images")
    path, is_shared = locate_table(options, split)
    if path is None:
        tables = ", ".join(pattern.format(split) for pattern in (*OF_SPLIT, *OF_ALL))
        raise UserError(f"{options.root}: no table of split {split!r}; expected one of {tables} (see data.train)")
    table = read_table(path, options.label_separator)
    splits = table.splits or (_splits_by_folder(table) if is_shared else {})
    if splits:
        wanted = {name.casefold() for name in split_names(split)}
        kept = [name for name in table.labels if splits.get(name) in wanted]
        if not kept:
            values = ", ".join(map(short, sorted(set(splits.values()))[:8]))
            raise UserError(f"{path}: no image is in split {split!r}; its splits are {values} (see data.val)")
        table.keep(kept)
    folder, ending = find_pictures(path, table.labels, split)
    table.labels = {with_ending(name, ending): labels for name, labels in table.labels.items()}
    _check_paths(table, folder, Path(options.root))
    names, is_undivided = table.classes, is_shared and not splits
    if is_undivided and split not in (options.train, "val"):
        raise UserError(f"{path}: it has no column of splits, so that it has no {split!r}; expected one called split")
    if is_undivided:
        table.keep(own_part(options, split, _pictures(table, folder)))
    if not names:
        raise UserError(f"{path}: no image has a label; expected at least one")
    if classes is None:
        classes = read_class_file(options.classes) if options.classes else names
    indices = dict(zip(names, class_indices(names, classes, str(path)), strict=True))
    if kind == "classification":
        _check_single(table)
    unused = table.columns.unused
    return TableSplit(
        folder,
        list(table.labels),
        classes,
        np.cumsum([0, *map(len, table.labels.values())], dtype=np.int64),
        np.array([indices[name] for labels in table.labels.values() for name in labels], np.int64),
        kind,
        options.range,
        is_undivided,
        [f"{path.name}: columns that are not used: {', '.join(unused[:8])}"] if unused else [],
    )


def check_table(options: DataOptions, split: str, classes: list[str] | None = None) -> SplitCheck:
    """Read all images of a split.

    Args:
        options: Where the data set is.
        split: The value of ``options.train`` or ``options.val``.
        classes: Class names of the training split, to check another split. Default: those of the split itself.

    Raises:
        UserError: If the split is missing or damaged, or has other classes.
    """
    source = open_table(options, split, "multilabel", classes)
    check = SplitCheck(source, options.range)
    for index in range(len(source)):
        name, labels = source.name(index), source.labels_of(index).tolist()
        try:
            image, _ = source.load(index, "RGB")
            with open_picture(source.path(index)) as raw:
                add_picture(check, name, image, raw)
        except UnreadableImage as error:
            check.errors["unreadable"].append(f"{name} ({error})")
            continue
        check.labels.update(labels)
        if len(labels) != 1:
            check.notes[f"{'several labels' if labels else 'no label'}: for --model.head multilabel only"].append(name)
    note_classes(check, source.classes)
    return check


def _splits_by_folder(table: LabelTable) -> dict[str, str]:
    """The first folder of each picture, if there are both of training and of validation; else nothing."""
    folders = {name: name.partition("/")[0].casefold() for name in table.labels if "/" in name}
    present = set(folders.values())
    has_both = all(present.intersection(split_names(split)) for split in ("train", "val"))
    return folders if has_both else {}


def _pictures(table: LabelTable, folder: Path) -> list[Picture]:
    """The pictures to divide; each counts for the rarest of its classes."""
    counts = Counter(name for names in table.labels.values() for name in names)
    return [
        Picture(name, folder / name, min(names, key=lambda one: (counts[one], one), default=""))
        for name, names in table.labels.items()
    ]


def _check_paths(table: LabelTable, folder: Path, root: Path) -> None:
    """Refuse pictures outside of the data set: a table may be of anybody."""
    base, inside = os.path.abspath(folder), os.path.abspath(root)
    for name in table.labels:
        if not Path(os.path.normpath(os.path.join(base, name))).is_relative_to(inside):
            raise UserError(f"{table.path}: {short(name)} leads out of {root}; data.root must contain all images")


def _check_single(table: LabelTable) -> None:
    wrong = [name for name, labels in table.labels.items() if len(labels) != 1]
    if wrong:
        count, labels = len(table.labels), table.labels[wrong[0]]
        raise UserError(
            f"{table.path}: {len(wrong)} of {count} images do not have exactly one label, e.g. {wrong[0]!r} "
            f"with {len(labels)}{f' ({labels[0]!r}, ...)' if labels else ''}; pass --model.head multilabel for sets of "
            "labels, or correct the table"
        )
