"""Find checkpoint folders, and read weights and configurations from them and from files."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import Tensor

from atmnet.files import pointed_at
from atmnet.records import Record, read_json
from atmnet_cli.errors import UserError, first_line


def find_checkpoint(path: Path) -> Path | None:
    """The checkpoint folder at ``path``: the folder itself, or the best or last checkpoint of a run.

    Returns:
        The folder; None if ``path`` is not a folder.

    Raises:
        UserError: If ``path`` is a folder without a checkpoint.
    """
    for folder in (*map(pointed_at, (path, path / "best", path / "last")), *_without_pointers(path)):
        if (folder / "config.json").is_file() and (folder / "model.safetensors").is_file():
            return folder
    if path.is_dir():
        raise UserError(
            f"{path}: contains no checkpoint; expected config.json and model.safetensors in it, in best/ or in last/"
        )
    return None


def _without_pointers(path: Path) -> Iterator[Path]:
    """Checkpoints that ``path``, a run or its ``best`` or ``last``, stands for in a copy of the run that lost both."""
    run = path.parent if path.name in ("best", "last") and not path.exists() else path
    checkpoints = sorted((run / "checkpoints").glob("step-*"), reverse=True)
    if checkpoints and path.name != "last":
        with suppress(UserError, LookupError, TypeError, ValueError):
            state = dict(read_json(checkpoints[0] / "trainer.json")["dict"])
            yield run / "checkpoints" / f"step-{dict(state['best']['dict'])['step']:08d}"
    yield from checkpoints


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration in a checkpoint folder.

    Raises:
        UserError: If its config.json does not describe a network.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not ("architecture" in config or "head" in config):
            raise ValueError("neither a timm model nor a detector or segmenter")
        return config
    except (ValueError, TypeError) as error:
        raise UserError(f"{folder / 'config.json'}: not the configuration of a model") from error


def read_class_names(folder: Path) -> list[str]:
    """The class names in a checkpoint folder's configuration; empty if it has none."""
    return read_config(folder).get("label_names") or []


def read_range(config: dict[str, Any], where: object) -> tuple[float, float] | None:
    """The range of values that a network was trained with, see ``data.range``; None if ``config`` has none.

    Raises:
        UserError: If it is not two finite numbers, the lower one first.
    """
    if config.get("range") is None:
        return None
    low, high = Record(config, str(where)).numbers("range", 2)
    if low >= high:
        raise UserError(f"{where}: range: got {low:g} and {high:g}, expected the lower number first")
    return low, high


def read_weights(path: str) -> tuple[dict[str, Tensor], list[str]]:
    """The weights in a file or folder, and the class names if the folder has them.

    Raises:
        UserError: If there is no such file or folder, or it cannot be read.
    """
    class_names: list[str] = []
    folder = find_checkpoint(Path(path))
    if folder is not None:
        class_names = read_class_names(folder)
        path = str(folder / "model.safetensors")
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file or folder")
    try:
        return load_state_dict(path), class_names
    except (RuntimeError, SafetensorError, EOFError, KeyError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: not a readable checkpoint: {first_line(error)}") from error
