"""Paths that results will be written to: checked before the work is done that the results are of."""

import os
from collections.abc import Sequence
from pathlib import Path

from atmnet_cli.errors import UserError

#: Endings that nobody gives to a folder.
_OF_FILES = {".csv", ".html", ".jpeg", ".jpg", ".json", ".jsonl", ".npz", ".onnx", ".parquet", ".pdf", ".png", ".pt"}
_OF_FILES |= {".pth", ".safetensors", ".tar", ".txt", ".xml", ".yaml", ".yml", ".zip"}


def check_output_file(path: Path, option: str, endings: Sequence[str]) -> None:
    """Refuse a file that cannot be written.

    Args:
        path: The file; an existing one may be replaced. Its folder need not exist.
        option: The option that names it, for errors.
        endings: What its name may end in, such as '.json'.

    Raises:
        UserError: For another ending, for a folder of this name, and if nothing can be written there.
    """
    if path.suffix.lower() not in endings:
        raise UserError(f"{option}: got {path}, expected the name of a file that ends in {' or '.join(endings)}")
    if path.is_dir():
        raise UserError(f"{option}: {path}: expected a file, but there is a folder of this name")
    _check_folder(path.parent, option)


def check_output_folder(path: Path, option: str) -> None:
    """Refuse a folder that nothing can be written to. It need not exist.

    Args:
        path: The folder.
        option: The option that names it, for errors.

    Raises:
        UserError: For the name of a file, and if nothing can be written there.
    """
    if path.suffix.lower() in _OF_FILES and not path.exists():
        raise UserError(f"{option}: got {path}, expected the name of a folder, in which files are written")
    _check_folder(path, option)


def _check_folder(folder: Path, option: str) -> None:
    """Refuse a folder that does not exist and cannot be created, or that nothing can be written to."""
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not existing.is_dir():
        raise UserError(f"{option}: {existing}: expected a folder, but there is a file of this name")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{option}: {existing}: nothing can be written to this folder")
