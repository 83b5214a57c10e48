"""Files that are written completely or not at all: to a temporary file, flushed to the disk, then renamed.


Only renaming is required of a file system; there may be no links, no locks and no flushing.
"""

import errno
import json
import math
import os
import shutil
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
from torch import Tensor

from atmnet_cli.errors import UserError
from atmnet_cli.output_paths import check_output_folder

#: What file systems without a feature answer, such as exFAT, network shares and FUSE.
_UNSUPPORTED = {
    getattr(errno, name)
    for name in ("EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "ENOLCK", "ENOTTY", "EPERM", "EACCES")
    if hasattr(errno, name)
}
#: Longest path in a pointer, in bytes.
_LONGEST_PATH = 1024


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


@contextmanager
def whole_folder(folder: Path, option: str) -> Iterator[Path]:
    """A temporary folder beside ``folder``, which takes its place if the block ends without an error.

    Args:
        folder: A folder that is new or empty.
        option: The option that names it, for errors.

    Raises:
        UserError: If the folder is not empty, or something cannot be written.
    """
    check_output_folder(folder, option)
    folder = folder.absolute()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{option}: {folder} is not empty; expected a new or empty folder")
    partial = folder.parent / f".{folder.name}.{os.getpid()}.partial"
    try:
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except OSError as error:
        raise UserError(f"{option}: {error.filename or folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def to_json(value: object, **format: Any) -> str:
    """``value`` as JSON that every reader takes: numbers that are not finite, which JSON does not have, become null.

    Args:
        value: Dicts, lists, tuples, strings, numbers and None.
        format: Arguments of :func:`json.dumps`, such as ``indent``.
    """
    return json.dumps(_finite(value), allow_nan=False, **format)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def write_json(path: Path, value: object) -> None:
    """Atomically replace ``path`` by a JSON file with ``value``, as :func:`to_json` writes it."""
    with replacing(path) as temporary:
        write_flushed(temporary, (to_json(value, indent=2) + "\n").encode())


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors, flushed to the disk. Tied weights are stored under each of their names.

    Raises:
        OSError: If writing fails, with its number; safetensors' own writer would hide it.
    """
    separate: dict[str, Tensor] = {}
    storages: set[int] = set()
    for key, value in tensors.items():
        value = value.detach().contiguous()
        pointer = value.untyped_storage().data_ptr()
        separate[key] = value.clone() if pointer in storages else value  # safetensors refuses shared memory
        storages.add(pointer)
    write_flushed(path, safetensors.torch.save(separate, metadata))


def checksum(path: Path) -> int:
    """The CRC-32 of a file's content."""
    value = 0
    with path.open("rb") as file:
        while part := file.read(2**24):
            value = zlib.crc32(part, value)
    return value


def write_flushed(path: Path, content: bytes) -> None:
    """Write a file and flush it to the disk.

    Raises:
        OSError: If writing fails; it names the file.
    """
    try:
        with open(path, "wb", opener=_open_without_links) as file:
            file.write(content)
            file.flush()
            flush_file(file.fileno())
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
    """Flush a folder's entries to the disk, and so the renames in it, where the file system can."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            flush_file(handle)
        finally:
            os.close(handle)


def is_unsupported(error: OSError) -> bool:
    """Whether a file system has refused a call because it does not have the feature at all."""
    return error.errno in _UNSUPPORTED


def flush_file(handle: int) -> None:
    """Flush an open file or folder to the disk, where the file system can."""
    try:
        os.fsync(handle)
    except OSError as error:
        if not is_unsupported(error):
            raise


def point_to(pointer: Path, target: Path) -> None:
    """Atomically let ``pointer`` stand for ``target``, a folder beside or below it; see :func:`pointed_at`.

    It becomes a relative symbolic link; where there are no links, a text file with the path that the link would have. A
    folder with a copy of an earlier target, which some programs make of a link as they copy, is removed.
    """
    path = target.relative_to(pointer.parent).as_posix()
    if pointer.is_dir() and not pointer.is_symlink():
        if not (pointer / "model.safetensors").is_file():
            raise FileExistsError(errno.EEXIST, "is in the way; move it to another place", str(pointer))
        shutil.rmtree(pointer)
    with replacing(pointer) as temporary:
        try:
            os.symlink(path, temporary, target_is_directory=True)
        except (OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and not (is_unsupported(error) or getattr(error, "winerror", None)):
                raise
            write_flushed(temporary, f"{path}\n".encode())


def pointed_at(pointer: Path) -> Path:
    """The folder that ``pointer`` stands for; ``pointer`` itself if it is none of :func:`point_to`'s text files.

    Only a file that names a folder beside or below it counts, so that it cannot lead anywhere else.
    """
    with suppress(OSError, ValueError):
        if pointer.is_file() and pointer.stat().st_size <= _LONGEST_PATH:
            path = Path(pointer.read_text(encoding="utf-8").strip())
            target = pointer.parent / path
            if path.parts and not path.is_absolute() and ".." not in path.parts and target.is_dir():
                return target
    return pointer
