"""What a folder looks like: one function for each source, which says why the folder is one of its data sets.

Each function lists a few folders and opens no pictures. It returns what it has recognised, in words, or "".
"""

import os
from itertools import islice
from pathlib import Path

from atmnet.data.annotations import find_folder, is_picture
from atmnet.data.coco_file import locate_coco, undivided_coco
from atmnet.data.cvat import CVAT_FILE
from atmnet.data.label_table import is_table
from atmnet.data.listing import is_hidden
from atmnet.data.table_files import locate_table
from atmnet.data.yolo import LAYOUTS, find_yaml
from atmnet_cli.options import DataOptions

#: Entries of a folder that are looked at.
_ENTRIES = 2000
#: Bytes of a file that are looked at.
_HEAD = 65_536
#: Files of a folder that are opened.
_FILES = 4
#: Folders that hold parts of an annotated data set, and are no classes.
_PARTS = {"images", "labels", "annotations", "jpegimages", "imagesets"}


def class_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder that directly contain pictures."""
    return [
        name
        for name in _entries(folder)
        if name.lower() not in _PARTS
        and not is_hidden(name)
        and (folder / name).is_dir()
        and any(map(is_picture, _entries(folder / name)))
    ]


def is_undivided(options: DataOptions) -> bool:
    """Whether a folder has class folders in place of the folders or tar files of the splits."""
    root = Path(options.root)
    names = (options.train, f"{options.train}.tar", options.val, f"{options.val}.tar")
    is_named = (options.train, options.val) != ("train", "val")
    return not (is_named or any((root / name).exists() for name in names)) and bool(class_folders(root))


def looks_like_folder(options: DataOptions) -> str:
    """One folder, or tar file, per split."""
    folder = Path(options.root) / options.train
    if folder.with_name(folder.name + ".tar").is_file() or (folder.is_file() and folder.suffix == ".tar"):
        return f"from {folder.name.removesuffix('.tar')}.tar"
    if is_undivided(options):
        count = len(class_folders(Path(options.root)))
        # The images of a table often lie in one folder, which is no class.
        return "" if count < 2 else f"{count} class folders without splits, so that it is divided"
    names = class_folders(folder)
    return f"from {options.train}: {len(names)} class folders" if names else ""


def looks_like_table(options: DataOptions) -> str:
    """A CSV file of labels."""
    path, is_common = locate_table(options, options.train)
    if path is None or not is_table(path):
        return ""
    return f"from {_relative(path, options)}{', the labels of all images' if is_common else ''}"


def looks_like_tar(options: DataOptions) -> str:
    """A folder of tar files per split."""
    count = sum(name.endswith(".tar") for name in _entries(Path(options.root) / options.train))
    return f"from {options.train}: {count} tar files" if count else ""


def looks_like_shards(options: DataOptions) -> str:
    """Shards such as train-0000.tar."""
    names = [name for name in _entries(Path(options.root)) if name.endswith(".tar")]
    shards = [name for name in names if name.startswith(f"{options.train}-")]
    return f"from {len(shards)} shards {options.train}-*.tar" if shards else ""


def looks_like_coco(options: DataOptions) -> str:
    """A JSON file per split, or one for all."""
    undivided = undivided_coco(options)
    if undivided is not None and _mentions(undivided[0], b'"images"', b'"annotations"', b'"categories"'):
        return f"from {_relative(undivided[0], options)} without splits, so that it is divided"
    path, _ = locate_coco(options, options.train)
    return f"from {_relative(path, options)}" if path.is_file() else ""


def looks_like_yolo(options: DataOptions) -> str:
    """data.yaml; or classes.txt with folders of images and of labels."""
    root = Path(options.root)
    if (path := find_yaml(root)) is not None:
        return f"from {path.name}"
    if not any((root / name).is_file() for name in ("classes.txt", "labels/classes.txt")):
        return ""
    folder = find_folder(root, options.train, (*LAYOUTS, "images"))
    is_yolo = folder is not None and ((root / "labels").is_dir() or (folder.parent / "labels").is_dir())
    return f"from classes.txt and {_relative(folder, options)}" if is_yolo and folder is not None else ""


def looks_like_voc(options: DataOptions) -> str:
    """A list of names per split, or XML files beside the pictures."""
    root = Path(options.root)
    path = root / "ImageSets" / "Main" / f"{options.train}.txt"
    if path.is_file():
        return f"from {_relative(path, options)}"
    if not path.parent.exists() and (root / "Annotations").is_dir() and (root / "JPEGImages").is_dir():
        return "from Annotations and JPEGImages without splits, so that it is divided"
    names = _entries(root / options.train)
    has_both = any(name.lower().endswith(".xml") and name != CVAT_FILE for name in names) and any(
        map(is_picture, names)
    )
    return f"from XML files beside the images in {options.train}" if has_both else ""


def looks_like_labelme(options: DataOptions) -> str:
    """JSON files with shapes beside the pictures, in the folders of the splits or directly in the root."""
    root = Path(options.root)
    for folder, where in (
        (root / options.train, f"in {options.train}"),
        (root, "without splits, so that it is divided"),
    ):
        names = _entries(folder)
        files = [name for name in names if name.lower().endswith(".json")]
        if files and any(map(is_picture, names)) and _mentions(folder / files[0], b'"shapes"'):
            return f"from JSON files beside the images {where}"
    return ""


def _mentions(path: Path, *words: bytes) -> bool:
    """Whether the beginning of a file contains one of the words."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return any(word in head for word in words)


def looks_like_labelstudio(options: DataOptions) -> str:
    """A JSON file of tasks for each split, or one in the root."""
    root = Path(options.root)
    for folder in (root / options.train, root):
        names = [name for name in _entries(folder) if name.lower().endswith(".json")]
        # Where there are many files, they are not of this format, and each would be opened.
        for name in sorted(names, key=lambda name: name != f"{options.train}.json")[:_FILES]:
            if _mentions(folder / name, b'"original_width"', b'"was_cancelled"'):
                return f"from {_relative(folder / name, options)}"
    return ""


def looks_like_cvat(options: DataOptions) -> str:
    """annotations.xml, in the folders of the splits or directly in the root."""
    root = Path(options.root)
    for path in (root / options.train / CVAT_FILE, root / CVAT_FILE):
        if path.is_file():
            return f"from {_relative(path, options)}"
    return ""


def looks_like_ade20k(options: DataOptions) -> str:
    """Label maps of the same names as the pictures."""
    folders = [Path(options.root) / kind / options.train for kind in ("images", "annotations")]
    return f"from {_relative(folders[1], options)}" if all(folder.is_dir() for folder in folders) else ""


def _entries(folder: Path) -> list[str]:
    """Names of the first entries of a folder; empty if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in islice(entries, _ENTRIES))
    except (OSError, ValueError):
        return []


def _relative(path: Path, options: DataOptions) -> str:
    return path.relative_to(options.root).as_posix() if path.is_relative_to(options.root) else str(path)
