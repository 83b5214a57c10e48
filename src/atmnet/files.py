"""Files that are whole or absent: written beside, flushed to the disk, renamed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to, which replaces ``path`` atomically if the block ends without an error."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.unlink(missing_ok=True)
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` as JSON, atomically."""
    with replacing(path) as beside:
        write_flushed(beside, (json.dumps(value, indent=2) + "\n").encode())


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors as safetensors, flushed; an I/O failure is an OSError (safetensors' own writer hides which)."""
    write_flushed(path, safetensors.torch.save({key: value.contiguous() for key, value in tensors.items()}))


def write_flushed(path: Path, content: bytes) -> None:
    """Write a file and force it to the disk."""
    try:
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # a failing write does not say of which file
        raise OSError(error.errno, error.strerror, str(path)) from error


def flush_folder(path: Path) -> None:
    """Force a folder's entries (renames in it) to the disk."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def point(link: Path, target: Path) -> None:
    """Make ``link`` a relative symbolic link to ``target``, replacing an earlier one atomically."""
    with replacing(link) as beside:
        beside.symlink_to(os.path.relpath(target, link.parent), target_is_directory=True)
