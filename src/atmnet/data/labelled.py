"""Labelled images from folders, tar files, shards, hub data sets and the embedded digits."""

import difflib
import hashlib
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, cast

from PIL import Image
from timm.data.readers.reader_factory import create_reader
from timm.data.readers.reader_image_in_tar import ReaderImageInTar

from atmnet.data.digits import DigitsReader
from atmnet.data.images import EXTENSIONS, UnreadableImage, read_image
from atmnet.data.inventory import Inventory, file_sizes
from atmnet.data.shards import ShardReader
from atmnet_cli.errors import UserError
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
    """

    reader: Reader
    classes: list[str]
    labels: dict[int, int]

    def __len__(self) -> int:
        return len(self.reader)

    def load(self, index: int, mode: str) -> tuple[Image.Image, int]:
        """The picture in 'RGB' or 'L', and its label.

        Raises:
            UnreadableImage: If the picture cannot be decoded.
        """
        try:
            file, label = self.reader[index]
        except OSError as error:
            raise UnreadableImage(str(error)) from error
        try:
            return read_image(file, mode), self.labels[int(label)]
        finally:
            file.close()

    def blank(self, mode: str) -> tuple[Image.Image, int]:
        """A blank picture with label 0, used when no picture can be read."""
        return Image.new(mode, (32, 32)), 0

    def name(self, index: int) -> str:
        """The image's file name, relative to its split."""
        return str(self.reader.filename(index))

    def inventory(self) -> Inventory:
        """The images with sizes and labels; for a hub data set, labels and the number of bytes of all columns."""
        reader: Any = self.reader
        facts: dict[str, Any] = {}
        if hasattr(reader, "inventory"):
            names, sizes, labels = reader.inventory()
        elif hasattr(reader, "dataset"):
            names, sizes, labels, table = [], [], [], reader.dataset.data
            column = repr(table.column(reader.label_key).to_pylist())
            facts = {"labels": hashlib.sha256(column.encode()).hexdigest(), "number of bytes": table.nbytes}
        elif hasattr(reader, "targets"):  # timm's reader of tar files
            members, labels = [sample[0] for sample in reader.samples], [int(label) for label in reader.targets]
            names, sizes = [member.name for member in members], [member.size for member in members]
        else:
            paths, labels = [path for path, _ in reader.samples], [label for _, label in reader.samples]
            root = os.path.join(str(reader.root), "")
            names, sizes = [path.removeprefix(root) for path in paths], file_sizes(paths)
        return Inventory(self.classes, names, sizes, [self.labels[label] for label in labels], facts)


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
    if classes is None:
        classes = names or list(labels)
    unknown = sorted(set(labels) - set(classes))
    if unknown:
        raise UserError(
            f"{where}: {len(unknown)} of its classes are not among the training classes: {', '.join(unknown[:5])}"
            + (f" (is {unknown[0]!r} {near[0]!r}?)" if (near := difflib.get_close_matches(unknown[0], classes)) else "")
        )
    indices = {name: index for index, name in enumerate(classes)}
    return LabelledSplit(reader, classes, {label: indices[name] for name, label in labels.items()})


def read_class_file(path: str) -> list[str]:
    """Class names from a text file, one per line.

    Raises:
        UserError: If the file is missing or empty, or repeats a name.
    """
    try:
        names = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise UserError(f"data.classes: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"data.classes: {path}: not a text file in UTF-8") from error
    if not names or len(set(names)) < len(names):
        raise UserError(f"data.classes: {path}: expected one class name per line, each once; got {len(names)} lines")
    return names


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
    path = _find_split(Path(options.root), split)
    try:
        if kind == "tar":
            # Not kept open: after a fork, processes would share the file's position and read at the wrong place.
            reader: Any = ReaderImageInTar(str(path), cache_tarfiles=False)
            reader.class_to_idx = reader.class_name_to_idx  # the name in timm's other readers
            return cast(Reader, reader)
        reader = create_reader("", root=str(path), input_key=";".join(EXTENSIONS))
    except tarfile.TarError as error:
        raise UserError(f"{path}: not a readable tar file: {error}") from error
    except (RuntimeError, AssertionError, ValueError) as error:
        # timm reports "found 0 images" or "no .tar files found", or fails to unpack an empty list.
        raise UserError(f"{path}: no images found; expected one folder per class, {' '.join(EXTENSIONS)}") from error
    for folder in sorted({os.path.dirname(file) for file, _ in reader.samples}):
        if Path(folder).parent not in (path, path.parent):  # timm would take the innermost folder as the class
            raise UserError(
                f"{path}: images in {Path(folder).relative_to(path)}; expected CLASS/IMAGE, no folders below"
            )
    return cast(Reader, reader)


def _open_hub(options: DataOptions, split: str) -> Reader:
    try:
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise UserError("data.source: 'hfds/' needs Hugging Face datasets: pip install 'atmnet[hfds]'") from error
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
