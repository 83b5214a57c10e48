"""Formats of classification: folders of classes, and tables."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from atmnet.data.dataset import Split
from atmnet.data.labelled import LabelledSplit
from atmnet.data.table import TableSplit
from atmnet_cli.errors import UserError

#: What folders cannot be called on one of the usual systems.
_REFUSED = '<>:"/\\|?*'


@dataclass(frozen=True)
class LabelledImage:
    """A picture to write: its name, its class names, and its file, or its bytes if it has none."""

    name: str
    labels: list[str]
    file: Path | bytes


def labelled_images(source: Split) -> Iterator[LabelledImage]:
    """The pictures of a split of labelled images, one at a time. Those that are generated become PNG files."""
    for index in range(len(source)):
        name = source.name(index).replace("\\", "/")
        if isinstance(source, TableSplit):
            labels = [source.classes[label] for label in source.labels_of(index)]
            yield LabelledImage(name, labels, source.path(index))
        elif isinstance(source, LabelledSplit):
            file, number = source.reader[index]
            label = source.classes[source.labels[int(number)]]
            parts = PurePosixPath(name).parts
            own_name = "/".join(parts[1:] if len(parts) > 1 and parts[0] == label else parts)
            if isinstance(file, Image.Image):
                yield LabelledImage(f"{own_name}.png", [label], _png(file))
            else:
                with file:
                    yield LabelledImage(own_name, [label], file.read())
        else:
            picture, answer = source.load(index, "RGB")
            yield LabelledImage(name, [source.classes[int(answer)]], _png(picture))


def check_folder_names(classes: Sequence[str]) -> None:
    """Refuse classes whose names cannot be those of folders.

    Raises:
        UserError: Names the first.
    """
    wrong = [name for name in classes if name in (".", "..") or set(name) & set(_REFUSED) or name != name.strip(" .")]
    if wrong:
        raise UserError(f"to: class {wrong[0]!r} cannot be the name of a folder; rename it, or use --to table")


def check_table_names(classes: Sequence[str]) -> None:
    """Refuse classes that a table would take for several.

    Raises:
        UserError: Names the first.
    """
    if wrong := [name for name in classes if "|" in name or ";" in name]:
        raise UserError(f"to: class {wrong[0]!r} would be read as several labels of a table; rename it")


def table_rows(split: str, images: Sequence[tuple[str, Sequence[str]]]) -> list[list[str]]:
    """Rows of a table with the columns file, label and split."""
    return [[f"{split}/{name}", "|".join(labels), split] for name, labels in images]


def write_table(rows: Sequence[Sequence[str]], path: Path) -> None:
    """Write labels.csv."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "split"])
        writer.writerows(rows)


def _png(picture: Any) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
