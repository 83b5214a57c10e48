"""A table of labels: a CSV file that names pictures and the classes of each.

Anybody may have written it. Columns are found by the names that common tools write; see docs/formats.md.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from atmnet.data.class_names import normal_form, repeated_forms
from atmnet.data.listing import natural_key
from atmnet.records import short
from atmnet_cli.errors import UserError, first_line

#: Upper limits of a table: its bytes, and its classes.
_MAX_BYTES, _MAX_CLASSES = 2**29, 100_000
#: Names of the columns, in lower case with _ for spaces: of pictures (the first that is there counts), labels, splits.
_FILES = (
    "file", "file_name", "filename", "fname", "image", "image_name", "image_path", "path", "image_id", "image_index",
    "id",
)  # fmt: skip
_LABELS = ("label", "labels", "class", "classes", "class_name", "tag", "tags", "category", "finding_labels")
_SPLITS = ("split", "set", "subset", "partition")
#: Columns that only a table of boxes has.
_BOXES = {"xmin", "x_min", "x1", "bbox"}
#: What separates the labels of a picture, unless ``data.label_separator`` says otherwise.
_SEPARATORS = ("|", ";")
_TRUTH = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


class Columns(NamedTuple):
    """Indices of a table's columns: of pictures, of labels or of one class each, of splits; and names without use."""

    file: int
    label: int | None
    classes: dict[int, str]
    split: int | None
    unused: list[str]


@dataclass
class LabelTable:
    """The contents of a table.

    Attributes:
        path: The file.
        columns: Its columns.
        labels: Name of a picture, with / between folders -> the names of its classes.
        splits: Name of a picture -> the name of its split, if the table has such a column.
    """

    path: Path
    columns: Columns
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """The classes: in the order of their columns, else those of the pictures, in natural order."""
        declared = list(self.columns.classes.values())
        return declared or sorted({name for names in self.labels.values() for name in names}, key=natural_key)

    def keep(self, names: Iterable[str]) -> None:
        """Keep only the pictures of these names."""
        kept = set(names)
        self.labels = {name: labels for name, labels in self.labels.items() if name in kept}


def read_table(path: Path, separator: str | None = None) -> LabelTable:
    """The contents of a table. The labels of a picture that is in several rows are those of all its rows.

    Args:
        path: A CSV file in UTF-8, with or without a byte order mark, whose columns are separated by , ; or tabs.
        separator: See ``data.label_separator``.

    Raises:
        UserError: If the file is missing or too large, or is no such table; names the line.
    """
    if separator == "":
        raise UserError("data.label_separator: got '', expected the characters between two labels, such as ' '")
    separators = _SEPARATORS if separator is None else (separator,)
    rows = _rows(path)
    _, header = next(rows, (1, []))
    table = LabelTable(path, _columns(header, str(path)))
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # equal labels are one object in memory
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(
                f"{path}: line {line}: got {len(row)} cells, expected {len(header)} as in the first line; put cells "
                'that contain the separator of the columns into "quotes"'
            )
        name = row[table.columns.file].replace("\\", "/").removeprefix("./")
        if not name or "\0" in name:
            raise UserError(f"{path}: line {line}: got {short(name)}, expected the name of an image")
        labels = dict.fromkeys((*table.labels.get(name, ()), *_labels(row, table.columns, separators, path, line)))
        table.labels[name] = shared.setdefault(tuple(labels), tuple(labels))
        if table.columns.split is not None:
            split = row[table.columns.split].casefold()
            if table.splits.setdefault(name, split) != split:
                raise UserError(f"{path}: line {line}: {short(name)} is in two splits; expected one")
    if not table.labels:
        raise UserError(f"{path}: no images in it; expected a line for each image below the names of the columns")
    if len(table.classes) > _MAX_CLASSES:
        raise UserError(f"{path}: got {len(table.classes):,} classes, expected at most {_MAX_CLASSES:,}")
    return table


def is_table(path: Path) -> bool:
    """Whether the first lines of a file are those of a table of labels."""
    try:
        rows = _rows(path)
        _, header = next(rows)
        columns, (_, row) = _columns(header, str(path)), next(rows)
        return len(row) == len(header) and all(row[index].casefold() in _TRUTH for index in columns.classes)
    except (UserError, StopIteration):
        return False


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number of each line that is not empty, and its cells without white space around them."""
    try:
        if (size := path.stat().st_size) > _MAX_BYTES:
            raise UserError(f"{path}: got {size:,} bytes, expected at most {_MAX_BYTES:,}")
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline(csv.field_size_limit())
            delimiter = next((mark for mark in (",", ";", "\t") if mark in first), ",")
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
            for row in reader:
                if cells := [cell.strip() for cell in row]:
                    yield reader.line_num, cells
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8") from error
    except csv.Error as error:
        raise UserError(f"{path}: not a table in CSV: {first_line(error)}") from error


def _columns(header: list[str], where: str) -> Columns:
    known = [name.casefold().replace(" ", "_") for name in header]

    def find(names: tuple[str, ...]) -> int | None:
        return next((known.index(name) for name in names if name in known), None)

    file, label, split = find(_FILES), find(_LABELS), find(_SPLITS)
    if _BOXES & set(known):
        raise UserError(f"{where}: a table of boxes, which is not read; export the data as COCO or YOLO for detection")
    if file is None:
        raise UserError(
            f"{where}: its first line names no column of images; expected one called {' or '.join(_FILES[:3])}, and "
            "one called label, or one for each class"
        )
    others = {
        index: name for index, name in enumerate(header) if index not in (label, split) and known[index] not in _FILES
    }
    if label is not None:
        return Columns(file, label, {}, split, list(others.values()))
    classes = {index: normal_form(name) for index, name in others.items()}
    if not classes or "" in classes.values():
        raise UserError(
            f"{where}: its first line names no column of labels; expected one called label, or a name for each class"
        )
    if repeated := repeated_forms(classes.values()):
        raise UserError(f"{where}: two of its columns have the same name, {short(repeated[0])}")
    return Columns(file, None, classes, split, [])


def _labels(row: list[str], columns: Columns, separators: tuple[str, ...], path: Path, line: int) -> list[str]:
    """The names of the classes of a row."""
    if columns.label is not None:
        parts = [row[columns.label]]
        for separator in separators:
            parts = [part for text in parts for part in text.split(separator)]
        return [normal_form(part.strip()) for part in parts if part.strip()]
    for index, name in columns.classes.items():
        if row[index].casefold() not in _TRUTH:
            raise UserError(f"{path}: line {line}: column {short(name)}: got {short(row[index])}, expected 0 or 1")
    return [name for index, name in columns.classes.items() if _TRUTH[row[index].casefold()]]
