"""Files that are written completely or not at all: to a temporary file, flushed to the disk, then renamed."""

import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import safetensors.torch
from torch import Tensor

from atmnet_cli.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file to write to, which atomically replaces ``path`` if the block ends without an error."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Atomically replace ``path`` by a JSON file with ``value``."""
    with replacing(path) as temporary:
        write_flushed(temporary, (json.dumps(value, indent=2) + "\n").encode())


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors as safetensors, flushed to the disk.

    Raises:
        OSError: If writing fails, with its number; safetensors' own writer would hide it.
    """
    write_flushed(path, safetensors.torch.save({key: value.contiguous() for key, value in tensors.items()}))


def write_flushed(path: Path, content: bytes) -> None:
    """Write a file and flush it to the disk.

    Raises:
        OSError: If writing fails; it names the file.
    """
    try:
        with open(path, "wb", opener=_open_without_links) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # the error of a failed write does not name the file
        raise OSError(error.errno, error.strerror, str(path)) from error


def open_to_append(path: Path) -> BinaryIO:
    """Open a file for reading and writing at its end, and create it if it does not exist. Nothing is truncated.

    Raises:
        UserError: If there is a symbolic link or anything but a regular file in its place.
    """
    _refuse_unless_regular(path)
    handle = _open_without_links(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0))
    file = os.fdopen(handle, "r+b")
    file.seek(0, os.SEEK_END)
    return file


def refuse_links_out(folder: Path, names: Iterable[str]) -> None:
    """Refuse symbolic links out of ``folder``, and devices and pipes, among ``names`` in it and all below them.

    Raises:
        UserError: If there is one; names the first.
    """
    root = folder.resolve()
    for name in names:
        below = [Path(parent, each) for parent, *parts in os.walk(folder / name) for part in parts for each in part]
        for path in [folder / name, *below]:
            if path.is_symlink():
                if not path.resolve().is_relative_to(root):
                    raise UserError(
                        f"output: {path}: a symbolic link that leads out of {folder}; a run follows none, so replace "
                        "it by what it leads to, or choose another folder"
                    )
            elif not path.is_dir():
                _refuse_unless_regular(path)


def _refuse_unless_regular(path: Path) -> None:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UserError(f"output: {path}: expected a regular file; remove what is there, or choose another folder")


def _open_without_links(path: str | Path, flags: int) -> int:
    """Open a file as :func:`os.open` does, but not through a symbolic link, even one that was made a moment ago."""
    handle = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return handle


def flush_folder(path: Path) -> None:
    """Flush a folder's entries to the disk, and so the renames in it."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def replace_link(link: Path, target: Path) -> None:
    """Atomically make ``link`` a relative symbolic link to ``target``."""
    with replacing(link) as temporary:
        temporary.symlink_to(os.path.relpath(target, link.parent), target_is_directory=True)
