"""Labelled images from folders, tar files, shards, hub data sets and the embedded digits."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, cast

from PIL import Image
from timm.data.readers.reader_factory import create_reader

from atmnet.data.class_names import class_indices, normal_form, read_class_file, repeated_forms
from atmnet.data.digits import DigitsReader
from atmnet.data.folders import FolderReader, TarReader
from atmnet.data.images import UnreadableImage, read_image
from atmnet.data.inventory import Inventory
from atmnet.data.listing import summary
from atmnet.data.own_split import Picture, own_part
from atmnet.data.recognition import is_undivided
from atmnet.data.shards import ShardReader
from atmnet_cli.errors import UserError, first_line, install
from atmnet_cli.options import DataOptions


class Reader(Protocol):
    """A reader of timm, or one of ours with the same interface."""

    @property
    def class_to_idx(self) -> Mapping[str, int]:
        """Class name -> the reader's label."""

    def __len__(self) -> int:
        """The number of images."""

    def __getitem__(self, index: int) -> tuple[IO[bytes] | Image.Image, int]:
        """An open file or a picture, and its label."""

    def filename(self, index: int) -> str:
        """The image's file name."""


@dataclass
class LabelledSplit:
    """Labelled images by number.

    Attributes:
        reader: Reads the files and labels.
        classes: Class names; a label is an index into them.
        labels: The reader's label -> index into ``classes``.
        range: See ``data.range``.
        own_part: Whether the split was chosen by :mod:`atmnet.data.own_split`.
    """

    reader: Reader
    classes: list[str]
    labels: dict[int, int]
    range: tuple[float, float] | None = None
    own_part: bool = False

    def __len__(self) -> int:
        return len(self.reader)

    def load(self, index: int, mode: str) -> tuple[Image.Image, int]:
        """The picture in 'RGB' or 'L', and its label.

        Raises:
            UnreadableImage: If the picture cannot be decoded.
        """
        try:
            file, label = self.reader[index]
        except Exception as error:  # of timm's readers, tar files and hub data sets
            raise UnreadableImage(f"{type(error).__name__}: {first_line(error)}") from error
        try:
            return read_image(file, mode, self.range), self.labels[int(label)]
        finally:
            file.close()

    def blank(self, mode: str) -> tuple[Image.Image, int]:
        """A blank picture with label 0, used when no picture can be read."""
        return Image.new(mode, (32, 32)), 0

    def name(self, index: int) -> str:
        """The image's file name, relative to its split."""
        return str(self.reader.filename(index))

    @property
    def left_out(self) -> dict[str, list[str]]:
        """Kind -> files and folders that are not used; see :class:`~atmnet.data.listing.Listing`."""
        return getattr(self.reader, "left_out", {})

    @property
    def notices(self) -> list[str]:
        """What to tell the user before training."""
        return summary(self.left_out)

    def inventory(self) -> Inventory:
        """The images with sizes and labels; for a hub data set, labels and the number of bytes of all columns."""
        reader: Any = self.reader
        if hasattr(reader, "inventory"):
            names, sizes, labels = reader.inventory()
            return Inventory(self.classes, names, sizes, [self.labels[label] for label in labels])
        table = reader.dataset.data
        column = repr(table.column(reader.label_key).to_pylist())
        facts = {"labels": hashlib.sha256(column.encode()).hexdigest(), "number of bytes": table.nbytes}
        return Inventory(self.classes, [], [], facts=facts)


def open_labelled(options: DataOptions, split: str, classes: list[str] | None = None) -> LabelledSplit:
    """Open a split of labelled images.

    Args:
        options: Where the data set is.
        split: The value of ``options.train`` or ``options.val``.
        classes: Class names of the training split. Default: those in the file ``options.classes``, else those of this
            split.

    Raises:
        UserError: If there is no such split, it is empty, or it has classes that are not in ``classes``.
    """
    names = read_class_file(options.classes) if options.classes else None
    reader = _open_reader(options, split, names)
    where = f"{options.root}/{split}" if options.root else f"{options.source} {split}"
    labels = reader.class_to_idx
    if "" in labels or "." in labels:
        raise UserError(f"{where}: some images lie directly in it; expected one folder per class")
    if len(reader) == 0:
        raise UserError(f"{where}: no images found")
    if repeated := repeated_forms(labels):
        raise UserError(f"{where}: two of its classes have the same name, {repeated[0]!a} and {repeated[1]!a}")
    if classes is None:
        classes = names or [normal_form(name) for name in labels]
    indices = class_indices(list(labels), classes, where)
    return LabelledSplit(
        reader,
        classes,
        dict(zip(labels.values(), indices, strict=True)),
        options.range,
        own_part=options.source == "folder" and is_undivided(options),
    )


def _open_reader(options: DataOptions, split: str, names: list[str] | None) -> Reader:
    kind = options.source.partition("/")[0]
    if kind == "digits":
        return DigitsReader(split)
    if kind == "hfds":
        return _open_hub(options, split)
    if not options.root:
        raise UserError("data.root: expected the folder that holds the splits; none given")
    if kind == "wds":
        return ShardReader(Path(options.root) / options.source.partition("/")[2], split, names)
    if kind == "folder" and is_undivided(options):
        return _open_part(options, split)
    path = _find_split(Path(options.root), split)
    is_tar = kind == "tar" or (path.is_file() and path.suffix == ".tar")
    return TarReader(path) if is_tar else FolderReader(path)


def _open_part(options: DataOptions, split: str) -> FolderReader:
    reader = FolderReader(Path(options.root))
    pictures = [
        Picture(reader.filename(index), Path(path), os.path.dirname(reader.filename(index)))
        for index, (path, _) in enumerate(reader.samples)
    ]
    reader.keep(own_part(options, split, pictures))
    return reader


def _open_hub(options: DataOptions, split: str) -> Reader:
    try:
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise UserError(f"data.source: 'hfds/' needs Hugging Face datasets: {install('hfds')}") from error
    try:
        reader = create_reader(options.source, root=options.root or None, split=split)
    except (DatasetsError, OSError, ValueError, KeyError) as error:
        raise UserError(f"data.source: {options.source}: {' '.join(str(error).split())}") from error
    if not reader.class_to_idx:
        raise UserError(f"data.source: {options.source}: its labels have no names (no ClassLabel feature 'label')")
    return cast(Reader, reader)


def _find_split(root: Path, split: str) -> Path:
    if not root.is_dir():
        raise UserError(f"data.root: {root}: no such folder")
    for path in (root / split, root / f"{split}.tar"):
        if path.exists():
            return path
    present = ", ".join(sorted(p.name for p in root.iterdir())[:8]) or "nothing"
    raise UserError(f"{root / split}: no such folder; {root} holds {present} (see data.train, data.val)")
