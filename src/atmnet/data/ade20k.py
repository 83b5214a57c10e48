"""Segmentation data in ADE20K's format: folders of images and of label maps.

Shapes: H x W pixels.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from atmnet.data.class_names import normal_form, read_class_file, read_lines
from atmnet.data.images import EXTENSIONS, UnreadableImage, read_image
from atmnet.data.inventory import Inventory, file_sizes
from atmnet.data.label_maps import read_label_map
from atmnet.data.listing import list_pictures, summary
from atmnet.data.targets import IGNORE
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions


@dataclass
class Ade20kFiles:
    """The files of a split, in the folders ``images`` and ``maps``.

    Attributes:
        pairs: Each image that has a label map, and that label map.
        without_map: Images without a label map.
        without_image: Label maps without an image.
        same_name: Files that have the name of another one but for its extension, so that it is not clear which belong
            together.
        left_out: See :class:`~atmnet.data.listing.Listing`.
    """

    images: Path
    maps: Path
    pairs: list[tuple[Path, Path]]
    without_map: list[Path]
    without_image: list[Path]
    same_name: list[Path] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)


class Ade20kSplit:
    """Images with label maps.

    Attributes:
        classes: Class names; a label is an index into them.
        notices: What to tell the user before training.
    """

    def __init__(self, files: Ade20kFiles, classes: list[str], options: DataOptions) -> None:
        self.classes = classes
        self.ignore_zero = options.ignore_zero
        self._range = options.range
        self._folder, self._maps = files.images, files.maps
        self.notices = [*summary(files.left_out), *shifted_labels(classes, options.ignore_zero)]
        self._pairs = files.pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def name(self, index: int) -> str:
        """The image's file name, relative to its split."""
        return str(self._pairs[index][0].relative_to(self._folder))

    def inventory(self) -> Inventory:
        """The images, and then the label maps, with their sizes."""
        images, maps = ([pair[i] for pair in self._pairs] for i in (0, 1))
        names = [str(path.relative_to(self._folder)) for path in images]
        names += [f"annotations/{path.relative_to(self._maps)}" for path in maps]
        facts = {"ignore_zero": self.ignore_zero}
        return Inventory(self.classes, names, file_sizes([*images, *maps]), facts=facts)

    def paths(self, index: int) -> tuple[Path, Path]:
        """The files of an image and its label map."""
        return self._pairs[index]

    def load(self, index: int, mode: str) -> tuple[Image.Image, Tensor]:
        """The picture in 'RGB' or 'L', and its label map.

        Raises:
            UnreadableImage: If either cannot be decoded, they differ in size, or a label is out of range.
        """
        picture, label_map = self._pairs[index]
        image = read_image(str(picture), mode, self._range)
        labels = read_label_map(label_map)
        height, width = labels.shape
        if image.size != (width, height):
            raise UnreadableImage(
                f"the picture has {image.width}x{image.height} pixels, but its label map has {width}x{height}"
            )
        if invalid := out_of_range(labels, len(self.classes), self.ignore_zero):
            first = int(self.ignore_zero)
            expected = f"{first} to {len(self.classes) - 1 + first}"
            raise UnreadableImage(f"its label map has the label {invalid[0]}; the classes have the labels {expected}")
        return image, torch.from_numpy(to_classes(labels, self.ignore_zero))

    def blank(self, mode: str) -> tuple[Image.Image, Tensor]:
        """A blank picture, all of whose pixels are ignored."""
        return Image.new(mode, (32, 32)), torch.full((32, 32), IGNORE, dtype=torch.uint8)


def open_ade20k(options: DataOptions, split: str, classes: list[str] | None = None) -> Ade20kSplit:
    """Open a split.

    Args:
        options: ``root`` contains ``images/SPLIT`` and ``annotations/SPLIT``, where a label map has its image's name
            with the extension .png; and the class names in ``classes.txt`` or ADE20K's ``objectInfo150.txt``, unless
            ``options.classes`` is a file with them.
        split: Name of the split, such as 'training'.
        classes: Class names of the training split. Default: those of the data set.

    Raises:
        UserError: If there is no such split, it is empty, an image has no label map, or the class names are missing.
    """
    files = list_ade20k(options, split)
    if files.without_map:
        raise UserError(
            f"{files.images}: {len(files.without_map)} images have no label map in {files.maps}, "
            f"the first {files.without_map[0].name}"
        )
    if files.same_name:
        raise UserError(
            f"{files.same_name[0]}: another file has this name with another extension, so that their label maps cannot "
            f"be told apart; {len(files.same_name)} such files"
        )
    names = class_names(options) if classes is None or _has_class_names(options) else classes
    if classes is not None and names != classes:
        raise UserError(
            f"{options.root}: its classes, {', '.join(names[:5])}, ..., are not those of the network, "
            f"{', '.join(classes[:5])}, ...; labels are numbers, so names and order must be the same"
        )
    return Ade20kSplit(files, names, options)


def _has_class_names(options: DataOptions) -> bool:
    root = Path(options.root)
    return bool(options.classes) or any((root / name).is_file() for name in ("classes.txt", "objectInfo150.txt"))


def list_ade20k(options: DataOptions, split: str) -> Ade20kFiles:
    """Find the files of a split and match images and label maps by name; see :func:`open_ade20k`.

    Raises:
        UserError: If a folder is missing or there are no images.
    """
    if not options.root:
        raise UserError("data.root: expected the folder that holds images and annotations; none given")
    images, maps = (Path(options.root) / kind / split for kind in ("images", "annotations"))
    for folder in (images, maps):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder (see data.root, data.train, data.val)")
    same_name: list[Path] = []
    listings = list_pictures(images), list_pictures(maps, (".png",))
    pictures, label_maps = (
        _by_name(folder, listing.pictures, same_name) for folder, listing in zip((images, maps), listings, strict=True)
    )
    if not pictures:
        raise UserError(f"{images}: no images found; expected {' '.join(EXTENSIONS)}")
    return Ade20kFiles(
        images, maps,
        pairs=[(path, label_maps[name]) for name, path in pictures.items() if name in label_maps],
        without_map=[path for name, path in pictures.items() if name not in label_maps],
        without_image=[path for name, path in label_maps.items() if name not in pictures],
        same_name=same_name,
        left_out={kind: [name for each in listings for name in each.left_out.get(kind, [])]
                  for kind in sorted({kind for each in listings for kind in each.left_out})},
    )  # fmt: skip


def class_names(options: DataOptions) -> list[str]:
    """Class names from the file ``options.classes``, else from the data set's own file.

    Raises:
        UserError: If there is no such file, or more classes than a label map can hold.
    """
    root = Path(options.root)
    table = root / "objectInfo150.txt"
    if options.classes or (root / "classes.txt").is_file():
        names = read_class_file(options.classes or str(root / "classes.txt"))
    elif table.is_file():
        rows = [line.split("\t") for line in read_lines(table)]
        names = [normal_form(row[-1].strip()) for row in rows if row[0].strip().isdigit()]
    else:
        raise UserError(
            f"{root}: expected the class names, one per line, in classes.txt or the file that data.classes names"
        )
    limit = IGNORE - options.ignore_zero
    if not 0 < len(names) <= limit:
        raise UserError(f"{root}: got {len(names)} classes, expected 1 to {limit}")
    return names


def out_of_range(labels: NDArray[np.int32], classes: int, ignore_zero: bool) -> list[int]:
    """Labels of a label map that neither stand for a class nor are ignored, in ascending order."""
    valid = set(range(classes + ignore_zero)) | {IGNORE}
    return sorted(set(np.unique(labels).tolist()) - valid)


def to_classes(labels: NDArray[np.int32], ignore_zero: bool) -> NDArray[np.uint8]:
    """Labels of a label map -> classes from 0, and :data:`~atmnet.data.targets.IGNORE` for pixels without a class."""
    if ignore_zero:
        labels = np.where((labels == 0) | (labels == IGNORE), IGNORE, labels - 1)
    return labels.astype(np.uint8)


def shifted_labels(classes: list[str], ignore_zero: bool) -> list[str]:
    """A warning if the first class seems to be the background, but label 0, which usually stands for it, is ignored."""
    if ignore_zero and classes[0].strip("_").casefold() in ("background", "ignore", "unlabeled", "unlabelled", "void"):
        return [
            f"the first class is {classes[0]!r}, and data.ignore_zero gives it the label 1; if its label is 0, use "
            "--data.ignore_zero false, else all classes are wrong by one"
        ]
    return []


def _by_name(folder: Path, names: Iterable[str], same_name: list[Path]) -> dict[str, Path]:
    """Files by their path without extension; names in different forms of Unicode are the same."""
    files: dict[str, Path] = {}
    for name in names:
        path = folder / name
        if files.setdefault(normal_form(os.path.splitext(name)[0]), path) != path:
            same_name.append(path)
    return files
