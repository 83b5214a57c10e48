"""Files that are written completely or not at all: to a temporary file, flushed to the disk, then renamed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
from torch import Tensor


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
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # the error of a failed write does not name the file
        raise OSError(error.errno, error.strerror, str(path)) from error


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
