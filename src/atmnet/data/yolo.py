"""Boxes and polygons in YOLO's format: one text file for each picture, in coordinates from 0 to 1.

A line is ``CLASS x y w h``, the centre and size of a box, or ``CLASS x y x y x y ...``, the points of a polygon.
"""

import os
from pathlib import Path, PurePosixPath
from typing import Any

from atmnet.data.annotations import ROUNDED, Annotations, find_folder, is_finite, picture_size, pictures_by_stem
from atmnet.data.class_names import read_lines
from atmnet.data.coco_file import CocoFile
from atmnet.data.own_split import own_part_of
from atmnet.records import Record, short
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.options import DataOptions

#: Folders of pictures in which {} stands for the split, where there is no data.yaml.
LAYOUTS = ("images/{}", "{}/images")
_YAMLS = ("data.yaml", "data.yml", "dataset.yaml")
_MAX_YAML, _MAX_LABELS, _MAX_LIST, _MAX_CLASSES = 2**20, 64 * 2**20, 256 * 2**20, 100_000
#: Coordinates may exceed the picture by its own size; pixels in place of shares of the picture are far beyond.
_LOW, _HIGH = -1.0, 2.0


def find_yaml(root: Path) -> Path | None:
    """The file that describes a data set in YOLO's format; None if ``root`` has none."""
    return next((root / name for name in _YAMLS if (root / name).is_file()), None)


def read_yolo(options: DataOptions, split: str, classes: list[str] | None = None) -> CocoFile:
    """Read a split.

    Args:
        options: ``root`` contains data.yaml; or classes.txt, and the pictures in ``images/SPLIT`` or ``SPLIT/images``,
            with a folder ``labels`` in place of ``images``. Pictures directly in ``images``, and those of a data.yaml
            without ``val``, are divided, see :mod:`atmnet.data.own_split`.
        split: A key of data.yaml, or the name of the folders.
        classes: Not used, since the format declares its classes.

    Raises:
        UserError: If the split is missing, or a file is not in YOLO's format.
    """
    root = Path(options.root)
    if not options.root or not root.is_dir():
        raise UserError(f"data.root: got {options.root!r}, expected the folder of data in YOLO's format")
    yaml = find_yaml(root)
    if yaml is not None:
        record = _read_yaml(yaml)
        names = class_list(record)
        is_undivided = options.val == "val" and _split_value(record, "val") is None
        folder, pictures = _yaml_pictures(record, yaml.parent, options.train if is_undivided else split)
    else:
        names = _class_file(root)
        found = find_folder(root, split, (*LAYOUTS, "images"))
        if found is None:
            raise UserError(
                f"{root}: no split {split!r}; expected data.yaml, or images in images/{split} or {split}/images "
                "(see data.train, data.val)"
            )
        folder, pictures = found, _with_labels(found, found)
        is_undivided = folder == root / "images"
    result = Annotations(folder, folder)
    for name, path in pictures.items():
        size = picture_size(folder / name)
        has_labels = path.is_file()
        image = result.add_image(name, size, path if has_labels else None)
        if has_labels and size is not None:
            _add_objects(result, image, path, size, names)
    file = result.to_coco(names, first_id=0)
    return own_part_of(file, options, split) if is_undivided else file


def class_list(record: Record) -> list[str]:
    """The class names in data.yaml: a list, or an object of names by number, which may have gaps.

    Raises:
        UserError: If they are neither, or ``nc`` is another number.
    """
    value = record.value.get("names")
    if isinstance(value, dict):
        if not all(type(key) is int and 0 <= key < _MAX_CLASSES for key in value):
            raise UserError(f"{record.where}: names: expected class numbers from 0 to {_MAX_CLASSES - 1} as keys")
        value = [value.get(number, f"class{number}") for number in range(max(value, default=-1) + 1)]
    count = record.value.get("nc")
    if value is None and type(count) is int and 0 < count <= _MAX_CLASSES:
        value = [f"class{number}" for number in range(count)]
    if not isinstance(value, list) or not value or not all(isinstance(name, str | int) for name in value):
        raise UserError(f"{record.where}: names: got {short(value)}, expected a list of class names")
    if count is not None and count != len(value):
        raise UserError(f"{record.where}: nc is {short(count)}, but there are {len(value)} names")
    return [str(name) for name in value]


def _read_yaml(path: Path) -> Record:
    import yaml

    try:
        if (size := path.stat().st_size) > _MAX_YAML:
            raise UserError(f"{path}: got {size:,} bytes, expected at most {_MAX_YAML:,}")
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as YAML in UTF-8: {first_line(error)}") from error
    record = Record(content, str(path))
    if "kpt_shape" in record:
        raise UserError(f"{path}: it has key points (kpt_shape), which are not read; expected boxes or polygons")
    return record


def _split_value(record: Record, split: str) -> object:
    """What data.yaml says of a split; None if nothing."""
    keys = ("val", "valid", "validation") if split == "val" else (split,)
    return next((record.value[key] for key in keys if record.value.get(key) is not None), None)


def _yaml_pictures(record: Record, root: Path, split: str) -> tuple[Path, dict[str, Path]]:
    """The folder of a split's pictures, and the label file of each picture by its name in this folder.

    A split is a folder, a text file that lists pictures, or a list of these. ``path`` often names another machine, and
    Roboflow writes ``../train/images`` for ``train/images``. So a path counts from the folder of data.yaml, and leading
    parts that do not exist are left out.
    """
    value = _split_value(record, split)
    values = value if isinstance(value, list) else [value]
    paths = [each for each in values if isinstance(each, str) and each]
    if not paths or len(paths) < len(values):
        expected = f"a folder or list of images for {split!r} (see data.train, data.val)"
        raise UserError(f"{record.where}: {split}: got {short(value)}, expected {expected}")
    places = [_locate(record, root, split, each) for each in paths]
    if len(places) == 1 and places[0].is_dir():
        # A folder below one called 'images' may have folders of any name.
        is_inside = "images" in places[0].relative_to(os.path.normpath(root)).parts
        folder = places[0] if is_inside or not (places[0] / "images").is_dir() else places[0] / "images"
        return folder, _with_labels(folder, folder)
    pictures: dict[str, Path] = {}
    for place in places:
        pictures |= _with_labels(place, root) if place.is_dir() else _listed(record, root, split, place)
    if not pictures:
        raise UserError(f"{record.where}: {split}: {short(value)} lists no images; expected at least one")
    return root, pictures


def _locate(record: Record, root: Path, split: str, value: str) -> Path:
    """The folder or file in ``root`` that a path of data.yaml, or of a list that it names, leads to."""
    base = record.value.get("path")
    parts = PurePosixPath(value.replace("\\", "/")).parts
    candidates = [root / base / value] if isinstance(base, str) and "\\" not in base else []
    candidates += [*(root.joinpath(*parts[start:]) for start in range(len(parts)))]
    for candidate in map(os.path.normpath, candidates):  # os.path.exists is false for a name that no folder can have
        if os.path.exists(candidate) and Path(candidate).is_relative_to(os.path.normpath(root)):
            return Path(candidate)
    raise UserError(
        f"{record.where}: {split}: no folder or file {short(value)} in {root}; data.root must contain all images and "
        "labels"
    )


def _listed(record: Record, root: Path, split: str, path: Path) -> dict[str, Path]:
    """The pictures that a text file lists, one path a line, from its own folder or that of data.yaml."""
    if path.stat().st_size > _MAX_LIST:
        raise UserError(f"{path}: larger than {_MAX_LIST:,} bytes; expected a list of images")
    pictures = {}
    for line in read_lines(path):
        beside = Path(os.path.normpath(path.parent / line.replace("\\", "/")))
        is_beside = os.path.isfile(beside) and beside.is_relative_to(os.path.normpath(root))
        picture = beside if is_beside else _locate(record, root, split, line)
        name = picture.relative_to(os.path.normpath(root)).as_posix()
        pictures[name] = _labels_folder(picture.parent) / f"{picture.stem}.txt"
    return pictures


def _with_labels(folder: Path, root: Path) -> dict[str, Path]:
    """The label file of each picture in a folder and below, by the picture's path from ``root``."""
    labels, inside = _labels_folder(folder), os.path.relpath(folder, root)
    return {
        PurePosixPath(inside.replace(os.sep, "/"), name).as_posix(): labels / f"{stem}.txt"
        for stem, name in pictures_by_stem(folder).items()
    }


def _labels_folder(images: Path) -> Path:
    """The folder of the labels: as that of the pictures, with 'labels' in place of the last 'images' of its path."""
    parts = images.parts
    places = [place for place, part in enumerate(parts) if part == "images"]
    if not places:
        return images
    labels = Path(*parts[: places[-1]], "labels", *parts[places[-1] + 1 :])
    return labels if labels.is_dir() else images


def _class_file(root: Path) -> list[str]:
    for path in (root / "classes.txt", root / "labels" / "classes.txt"):
        if path.is_file():
            if names := read_lines(path):
                return names
            raise UserError(f"{path}: it is empty; expected one class name per line")
    raise UserError(f"{root}: neither data.yaml nor classes.txt; one of them must name the classes")


def _add_objects(result: Annotations, image: int, path: Path, size: tuple[int, int], names: list[str]) -> None:
    if path.stat().st_size > _MAX_LABELS:
        raise UserError(f"{path}: larger than {_MAX_LABELS:,} bytes; expected the labels of one image")
    seen: set[tuple[float, ...]] = set()
    for number, line in enumerate(read_lines(path), 1):
        try:
            values = [float(word) for word in line.split()]
        except ValueError as error:
            raise UserError(f"{path}: line {number}: {first_line(error)}; expected CLASS x y w h") from error
        label, points = values[0], values[1:]
        if not (0 <= label < len(names)) or label != int(label):
            last = len(names) - 1
            raise UserError(f"{path}: line {number}: class {label:g}, expected an integer from 0 to {last}")
        if len(points) != 4 and (len(points) < 6 or len(points) % 2):
            raise UserError(
                f"{path}: line {number}: {len(values)} numbers, expected CLASS x y w h, or CLASS and at least three "
                "points x y"
            )
        if not is_finite(points, _LOW, _HIGH):
            raise UserError(f"{path}: line {number}: expected coordinates from 0 to 1, as shares of the image")
        if tuple(values) in seen:
            continue  # exports repeat lines, and YOLO's own reader drops them
        seen.add(tuple(values))
        name = names[int(label)]
        if len(points) == 4:
            x, y, w, h = points
            result.add_box(image, name, _in_pixels([x - w / 2, y - h / 2, x + w / 2, y + h / 2], size))
        else:
            result.add_polygons(image, name, [_in_pixels(points, size)])


def _in_pixels(shares: list[float], size: tuple[int, int]) -> list[float]:
    # Rounded, since a corner of 29.999999999999996 pixels would move the mask's edge by a pixel.
    return [round(value * size[i % 2], ROUNDED) for i, value in enumerate(shares)]
