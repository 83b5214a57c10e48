"""Annotated pictures of any format as the records of COCO's format, so that every format takes the same way.

Readers of other formats collect pictures and objects in an :class:`Annotations`. The file that it makes is checked,
opened and evaluated as one of COCO's own.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atmnet.data.class_names import normal_form
from atmnet.data.coco_file import CocoAnnotation, CocoCategory, CocoFile, CocoImage
from atmnet.data.images import EXTENSIONS, UnreadableImage, open_picture
from atmnet.data.listing import list_pictures, natural_key
from atmnet.data.outlines import polygon_area
from atmnet_cli.errors import UserError

#: Decimals of pixels that are kept of coordinates that a format has as shares of the picture.
ROUNDED = 4
#: EXIF orientations that exchange width and height.
_TURNED = (5, 6, 7, 8)


class Annotations:
    """Collects the pictures and objects of a split. Images are numbered from 1 in the order in which they are added.

    Args:
        path: What the split was read from, for errors: a file or folder.
        folder: Folder of the pictures.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = path, folder
        self._images: list[CocoImage] = []
        self._objects: list[tuple[str, CocoAnnotation]] = []
        self._files: list[Path] = []
        self._notes: dict[str, list[str]] = defaultdict(list)

    def add_image(self, name: str, size: tuple[int, int] | None, file: Path | None) -> int:
        """Add a picture and return its id.

        Args:
            name: Path of the picture within the folder.
            size: Width and height in pixels; None if the picture cannot be read, which is then reported on loading.
            file: Its annotation file, if it has one.
        """
        width, height = size or (1, 1)
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": name, "width": width, "height": height})
        if file is not None:
            self._files.append(file)
        return number

    def add_box(self, image: int, category: str, corners: Sequence[float], crowd: bool = False) -> None:
        """Add an object by the corners x0, y0, x1, y1 of its box, in pixels."""
        x0, y0, x1, y1 = corners
        self._add(image, category, [x0, y0, x1 - x0, y1 - y0], (x1 - x0) * (y1 - y0), None, crowd)

    def add_polygons(self, image: int, category: str, polygons: list[list[float]]) -> None:
        """Add an object by its parts, each a list x, y, x, y, ... in pixels. Its box encloses all of them."""
        xs = [x for points in polygons for x in points[::2]]
        ys = [y for points in polygons for y in points[1::2]]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        self._add(image, category, box, sum(map(polygon_area, polygons)), polygons, False)

    def add_mask(
        self, image: int, category: str, mask: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]
    ) -> None:
        """Add an object by the mask (h, w) of a part of a picture, which is not empty.

        Args:
            image: The id of the picture.
            category: The class name.
            mask: The part.
            corner: x and y of the part's left upper pixel.
            size: Width and height of the whole picture.
        """
        (x, y), (width, height) = corner, size
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = [
            float(x + columns[0]), float(y + rows[0]),
            float(columns[-1] - columns[0] + 1), float(rows[-1] - rows[0] + 1),
        ]  # fmt: skip
        whole = np.zeros((width, height), bool)  # COCO's runs are of columns
        whole[x : x + mask.shape[1], y : y + mask.shape[0]] = mask.T
        flat = whole.ravel()
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        runs = np.diff(changes, prepend=0, append=flat.size).tolist()
        counts = [0, *runs] if flat[0] else runs
        self._add(image, category, box, float(mask.sum()), {"size": [height, width], "counts": counts}, False)

    def note(self, kind: str, name: str) -> None:
        """Note something that is left out, for `atmnet check-data`: its kind, and where it is."""
        self._notes[kind].append(name)

    def _add(self, image: int, category: str, box: list[float], area: float, segmentation: object, crowd: bool) -> None:
        annotation: CocoAnnotation = {
            "id": len(self._objects) + 1, "image_id": image, "category_id": 0, "bbox": box,
            "area": max(area, 0.0), "iscrowd": int(crowd), "segmentation": segmentation,
        }  # fmt: skip
        self._objects.append((normal_form(category), annotation))

    def to_coco(self, classes: Sequence[str] | None = None, first_id: int = 1) -> CocoFile:
        """The split in COCO's records.

        Args:
            classes: The class names that the format declares, in the order of their ids; or, where it declares none,
                those of the training split. Names of objects that are not among them follow in natural order.
            first_id: The id of the first class.

        Raises:
            UserError: If there are no pictures or no classes.
        """
        if not self._images:
            raise UserError(f"{self.path}: no annotated images; expected at least one")
        names = [normal_form(name) for name in classes or ()]
        names += sorted({name for name, _ in self._objects} - set(names), key=natural_key)
        if not names:
            raise UserError(f"{self.path}: no image has an object; expected at least one, whose name is a class")
        categories: list[CocoCategory] = [{"id": i, "name": name} for i, name in enumerate(names, first_id)]
        ids = {category["name"]: category["id"] for category in categories}
        for name, annotation in self._objects:
            annotation["category_id"] = ids[name]
        annotations = [annotation for _, annotation in self._objects]
        return CocoFile(
            self.path,
            self.folder,
            self._images,
            annotations,
            categories,
            tuple(self._files) if self._files or not self.path.is_file() else None,
            notes=dict(self._notes),
        )


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height of the upright picture, from its header; None if it cannot be read."""
    try:
        with open_picture(path) as image:
            turned = image.getexif().get(0x0112, 1) in _TURNED
            return (image.height, image.width) if turned else image.size
    except (UnreadableImage, OSError, ValueError, Image.DecompressionBombError):
        return None


def pictures_by_stem(folder: Path) -> dict[str, str]:
    """Path of each picture within a folder and the folders below, without its ending -> the path, in natural order.

    Raises:
        UserError: If two pictures differ only in their ending, so that one annotation file would belong to both.
    """
    names: dict[str, str] = {}
    for name in list_pictures(folder).pictures:
        portable = PurePosixPath(name.replace(os.sep, "/"))
        stem = str(portable.with_suffix(""))
        if stem in names:
            raise UserError(f"{folder}: {names[stem]} and {name} would share one annotation file; rename one of them")
        names[stem] = str(portable)
    return names


def find_folder(root: Path, split: str, patterns: Sequence[str]) -> Path | None:
    """The first existing folder of ``patterns``, in which {} stands for the split; 'val' may also be called 'valid'."""
    names = (split, "valid", "validation") if split == "val" else (split,)
    for pattern in patterns:
        for name in names:
            if (folder := root / pattern.format(name)).is_dir():
                return folder
    return None


def is_finite(values: Sequence[float], low: float, high: float) -> bool:
    """Whether all values are numbers from ``low`` to ``high``."""
    # Comparisons of NaN are false, and those of integers are exact whatever their size.
    return all(low <= value <= high for value in values)


def portable_name(text: str) -> str:
    """The last part of a path of any system."""
    return text.replace("\\", "/").rpartition("/")[2]


def is_picture(name: str) -> bool:
    """Whether a name ends as a picture's does."""
    return name.lower().endswith(EXTENSIONS)
