"""Where tables of labels lie, and the pictures that they name."""

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from atmnet.data.annotations import is_picture
from atmnet.data.images import EXTENSIONS
from atmnet.records import short
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions

#: Tables of a split, in which {} stands for its name, and tables of all splits, in the order in which they are tried.
OF_SPLIT = ("{}.csv", "{}/_classes.csv", "{}/labels.csv", "{}/metadata.csv")
OF_ALL = ("labels.csv", "_classes.csv", "metadata.csv")
#: Folders of pictures beside a table, in which {} stands for the split's name, in the order in which they are tried.
_FOLDERS = ("", "{}", "images", "images/{}", "{}_images")
#: Names of the splits in the column of splits and in names of files.
_NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation")}
#: Images by which the folder of the pictures is chosen.
_PROBED = 32


def locate_table(options: DataOptions, split: str) -> tuple[Path | None, bool]:
    """The table of a split, None if there is none, and whether it is the table of all splits."""
    root = Path(options.root)
    if not options.root:
        return None, False
    own, train, val = (_own_table(root, name) for name in (split, options.train, options.val))
    if own is not None and (val is not None or split != options.train):
        return own, False
    common = next((root / name for name in OF_ALL if (root / name).is_file()), None)
    # Competitions publish the labels of one split, as train.csv.
    return ((train or common) if options.val == "val" else (own or common)), True


def _own_table(root: Path, split: str) -> Path | None:
    """The table of one split."""
    if split.lower().endswith(".csv"):
        return root / split
    paths = (root / pattern.format(name) for pattern in OF_SPLIT for name in split_names(split))
    return next((path for path in paths if path.is_file()), None)


def split_names(split: str) -> tuple[str, ...]:
    """The names under which a split is looked for."""
    return _NAMES.get(split, _NAMES["train"] if split.lower().endswith(".csv") else (split,))


def find_pictures(path: Path, pictures: Iterable[str], split: str) -> tuple[Path, str]:
    """The folder of the pictures, and the ending that names in the table lack, or ""."""
    names = list(islice(pictures, _PROBED))
    patterns = dict.fromkeys(pattern.format(name) for pattern in _FOLDERS for name in (*split_names(split), path.stem))
    folders = [path.parent / pattern for pattern in patterns]
    endings = ("",) if all(map(is_picture, names)) else ("", *EXTENSIONS)
    for folder in folders:
        for ending in endings:
            if any(os.path.isfile(folder / with_ending(name, ending)) for name in names):
                return folder, ending
    raise UserError(
        f"{path}: none of its first {len(names)} images exists, such as {short(names[0])}; expected paths "
        f"relative to the table's folder, or to one of {', '.join(pattern for pattern in patterns if pattern)} in it"
    )


def with_ending(name: str, ending: str) -> str:
    """A picture's name with an ending if it has none."""
    return name if is_picture(name) else name + ending
