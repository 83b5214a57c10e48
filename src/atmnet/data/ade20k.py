"""Segmentation data in ADE20K's format: folders of images and of label maps.

Shapes: H x W pixels.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from atmnet.data.images import EXTENSIONS, UnreadableImage, read_image
from atmnet.data.source import read_class_file
from atmnet.data.targets import IGNORE
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions


@dataclass
class Ade20kFiles:
    """The files of a split, below ``images`` and ``maps``.

    Attributes:
        pairs: Images that have a label map, and it.
        without_map: Images that have none.
        without_image: Label maps that have none.
    """

    images: Path
    maps: Path
    pairs: list[tuple[Path, Path]]
    without_map: list[Path]
    without_image: list[Path]


class Ade20kSource:
    """Images with label maps.

    Attributes:
        classes: Class names; a label is an index into them.
    """

    def __init__(self, files: Ade20kFiles, classes: list[str], ignore_zero: bool) -> None:
        self.classes = classes
        self.ignore_zero = ignore_zero
        self._folder = files.images
        self._pairs = files.pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def name(self, index: int) -> str:
        """The image's file name, relative to its split."""
        return str(self._pairs[index][0].relative_to(self._folder))

    def paths(self, index: int) -> tuple[Path, Path]:
        """The files of an image and its label map."""
        return self._pairs[index]

    def load(self, index: int, mode: str) -> tuple[Image.Image, Tensor]:
        """The picture in 'RGB' or 'L', and its label map.

        Raises:
            UnreadableImage: Where either cannot be decoded, they differ in size, or a label is out of range.
        """
        picture, labels = self._pairs[index]
        image = read_image(str(picture), mode)
        found = read_label_map(labels)
        if found.shape != (image.height, image.width):
            raise UnreadableImage(
                f"it is of {image.width}x{image.height} pixels, its label map of {found.shape[1]}x{found.shape[0]}"
            )
        if beyond := out_of_range(found, len(self.classes), self.ignore_zero):
            first = int(self.ignore_zero)
            expected = f"{first} to {len(self.classes) - 1 + first}"
            raise UnreadableImage(f"its label map has the label {beyond[0]}; the classes are {expected}")
        return image, torch.from_numpy(to_classes(found, self.ignore_zero))

    def blank(self, mode: str) -> tuple[Image.Image, Tensor]:
        """A sample of which nothing is known."""
        return Image.new(mode, (32, 32)), torch.full((32, 32), IGNORE, dtype=torch.uint8)


def open_ade20k(options: DataOptions, split: str, classes: list[str] | None = None) -> Ade20kSource:
    """Open a split.

    Args:
        options: ``root`` holds ``images/SPLIT`` and ``annotations/SPLIT``, where a label map has its image's name with
            the ending .png; and the class names as ``classes.txt`` or ADE20K's ``objectInfo150.txt``, unless
            ``options.classes`` is a file with them.
        split: Its name, e.g. 'training'.
        classes: Class names fixed by the training split.

    Raises:
        UserError: Where there is no such split, it is empty, an image has no label map, or classes have no names.
    """
    files = list_ade20k(options, split)
    if files.without_map:
        raise UserError(
            f"{files.images}: {len(files.without_map)} images have no label map in {files.maps}, "
            f"the first {files.without_map[0].name}"
        )
    return Ade20kSource(files, classes or class_names(options), options.ignore_zero)


def list_ade20k(options: DataOptions, split: str) -> Ade20kFiles:
    """Find the files of a split and match images and label maps by name; see :func:`open_ade20k`.

    Raises:
        UserError: Where a folder is missing or there are no images.
    """
    if not options.root:
        raise UserError("data.root: expected the folder that holds images and annotations; none given")
    images, maps = (Path(options.root) / kind / split for kind in ("images", "annotations"))
    for folder in (images, maps):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder (see data.root, data.train, data.val)")
    pictures = _by_name(images, EXTENSIONS)
    if not pictures:
        raise UserError(f"{images}: no images found; expected {' '.join(EXTENSIONS)}")
    labels = _by_name(maps, (".png",))
    return Ade20kFiles(
        images, maps,
        pairs=[(path, labels[name]) for name, path in pictures.items() if name in labels],
        without_map=[path for name, path in pictures.items() if name not in labels],
        without_image=[path for name, path in labels.items() if name not in pictures],
    )  # fmt: skip


def class_names(options: DataOptions) -> list[str]:
    """Class names of ``options.classes``, else of the data set's own file.

    Raises:
        UserError: Where there is no such file, or more classes than a label map can hold.
    """
    root = Path(options.root)
    table = root / "objectInfo150.txt"
    if options.classes or (root / "classes.txt").is_file():
        names = read_class_file(options.classes or str(root / "classes.txt"))
    elif table.is_file():
        rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
        names = [row[-1].strip() for row in rows if row[0].strip().isdigit()]
    else:
        raise UserError(
            f"{root}: expected the class names, one a line, in classes.txt or the file that data.classes names"
        )
    most = IGNORE - options.ignore_zero
    if not 0 < len(names) <= most:
        raise UserError(f"{root}: got {len(names)} classes, expected 1 to {most}")
    return names


def read_label_map(path: Path) -> np.ndarray:
    """A grey or palette PNG of 8 or 16 bits -> its numbers (H, W).

    Raises:
        UnreadableImage: Where it is none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                if image.mode not in ("L", "P", "1") and not image.mode.startswith("I"):
                    raise UnreadableImage(f"its label map is of mode {image.mode}; expected grey or palette")
                return np.asarray(image).astype(np.int32)
    except UnreadableImage:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableImage(f"its label map: {type(error).__name__}: {error}".splitlines()[0]) from error


def out_of_range(numbers: np.ndarray, classes: int, ignore_zero: bool) -> list[int]:
    """Numbers of a label map that are neither a class nor to be ignored."""
    known = set(range(classes + ignore_zero)) | {IGNORE}
    return sorted(set(np.unique(numbers).tolist()) - known)


def to_classes(numbers: np.ndarray, ignore_zero: bool) -> np.ndarray:
    """Numbers of a label map -> uint8, classes from 0, :data:`~atmnet.data.targets.IGNORE` for what has none."""
    if ignore_zero:
        numbers = np.where((numbers == 0) | (numbers == IGNORE), IGNORE, numbers - 1)
    return numbers.astype(np.uint8)


def _by_name(folder: Path, endings: Iterable[str]) -> dict[str, Path]:
    """Files by path without ending, in order."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in tuple(endings) and path.is_file())
    return {str(path.relative_to(folder).with_suffix("")): path for path in paths if not path.name.startswith(".")}
