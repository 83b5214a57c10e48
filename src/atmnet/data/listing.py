"""The rule for folders of pictures: which files are pictures, in which order, and which are left out and why.

Every command and source that searches folders or archives uses it, so that all see the same pictures and classes.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from atmnet.data.images import EXTENSIONS
from atmnet_cli.errors import UserError

#: Files and folders that systems and tools put among those of users, besides those whose name begins with a dot.
_SYSTEM = {
    "__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "thumbs.db",
    "desktop.ini",
}  # fmt: skip
#: Endings of picture formats that are not read. A file with another ending is no picture.
_UNREAD = {
    ".apng", ".arw", ".avif", ".cr2", ".cr3", ".dcm", ".dng", ".exr", ".heic", ".heif", ".ico", ".j2k", ".jfif", ".jp2",
    ".jpe", ".jxl", ".nef", ".orf", ".pbm", ".pgm", ".pnm", ".ppm", ".psd", ".raf", ".raw", ".rw2", ".svg", ".tga",
}  # fmt: skip
_DIGITS = re.compile(r"([0-9]+)")

#: Kinds of what is left out.
HIDDEN = "hidden, or made by a system or tool: ignored"
OTHER = "file without a picture's extension: ignored"
EMPTY = "folder without pictures"
BROKEN_LINK = "broken link"
LOOP = "link to a folder around it: not followed"
SPECIAL = "neither file nor folder: ignored"
UNREAD = "picture in a format that is not read"


@dataclass
class Listing:
    """The pictures of a folder or an archive, and what was left out.

    Attributes:
        pictures: Paths relative to the folder, in natural order ('2' before '10').
        left_out: Kind -> the files and folders that are not used, which are worth a note.
    """

    pictures: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def leave_out(self, name: str) -> None:
        """Note a file that is no picture that is read."""
        ending = PurePath(name).suffix.lower()
        self.left_out[f"{UNREAD}: {ending}" if ending in _UNREAD else OTHER].append(name)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name (not path) is hidden, or made by a system or tool."""
    return name.startswith(".") or name.casefold() in _SYSTEM


def natural_key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Sorts names without regard to case and numbers in them by value, as timm does.

    Names that are equal by this, such as 'Cat' and 'cat', are sorted as text, so that the order never varies.
    """
    pieces: list[str | tuple[int, str]] = []
    for index, piece in enumerate(_DIGITS.split(name.lower())):
        number = piece.lstrip("0")
        # The length and the digits order numbers as their values do, without a limit of their length.
        pieces.append((len(number), number) if index % 2 else piece)
    return pieces, name


def list_pictures(folder: str | Path, extensions: Iterable[str] = EXTENSIONS) -> Listing:
    """The pictures in a folder and its sub-folders.

    Links to files and folders are followed, except those to a folder that contains them. A broken link that is named as
    a picture counts as one, so that it is reported as unreadable.

    Args:
        folder: The folder.
        extensions: Endings of pictures, in lower case.

    Raises:
        UserError: If a folder cannot be read.
    """
    endings, listing = tuple(extensions), Listing()
    remaining: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while remaining:
        inside, above = remaining.pop()
        path = os.path.join(folder, inside)
        try:
            status = os.stat(path)
            entries = list(os.scandir(path))
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error
        around = above | {(status.st_dev, status.st_ino)}
        used = False
        for entry in entries:
            name = os.path.join(inside, entry.name)
            is_picture = entry.name.lower().endswith(endings)
            target = _target(entry)
            if is_hidden(entry.name):
                if is_picture or target == "folder":
                    listing.left_out[HIDDEN].append(name)
            elif target == "folder":
                used = True
                if entry.is_symlink() and _identity(entry) in around:
                    listing.left_out[LOOP].append(name)
                else:
                    remaining.append((name, around))
            elif is_picture and target in ("file", "nothing"):
                used = True
                listing.pictures.append(name)
            elif target == "file":
                listing.leave_out(name)
            else:
                listing.left_out[BROKEN_LINK if target == "nothing" else SPECIAL].append(name)
        if not used and inside:
            listing.left_out[EMPTY].append(inside)
    listing.pictures.sort(key=natural_key)
    for names in listing.left_out.values():
        names.sort(key=natural_key)
    return listing


def summary(left_out: dict[str, list[str]]) -> list[str]:
    """What was left out and may have been meant to be used: a line for each kind, to print before work begins."""
    quiet = (HIDDEN, OTHER)
    return [
        f"not used: {kind}: {len(names)}, e.g. {names[0]!r}"
        for kind, names in sorted(left_out.items())
        if kind not in quiet
    ]


def _identity(entry: os.DirEntry[str]) -> tuple[int, int]:
    status = entry.stat()
    return status.st_dev, status.st_ino


def _target(entry: os.DirEntry[str]) -> str:
    """What an entry is, or what the link leads to: 'folder', 'file', 'nothing' (a broken link) or 'other'."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        return "other" if not entry.is_symlink() or os.path.exists(entry.path) else "nothing"
    except OSError:  # a link to itself
        return "nothing"
