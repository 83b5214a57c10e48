"""Find checkpoint folders, and read weights and configurations from them and from files."""

import json
from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import Tensor, nn

from atmnet.models.store import find_weights
from atmnet_cli.errors import UserError, first_line


def find_checkpoint(path: Path) -> Path | None:
    """The checkpoint folder at ``path``: the folder itself, or the best or last checkpoint of a run.

    Returns:
        The folder; None if ``path`` is not a folder.

    Raises:
        UserError: If ``path`` is a folder without a checkpoint.
    """
    for folder in (path, path / "best", path / "last"):
        if (folder / "config.json").is_file() and (folder / "model.safetensors").is_file():
            return folder
    if path.is_dir():
        raise UserError(
            f"{path}: contains no checkpoint; expected config.json and model.safetensors in it, in best/ or in last/"
        )
    return None


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


def read_weights(path: str) -> tuple[dict[str, Tensor], list[str]]:
    """The weights in a file or folder, or of a name such as 'atmnet_tiny.in1k', and the class names if it has them.

    Raises:
        UserError: If there are no such weights, or they cannot be read.
    """
    class_names: list[str] = []
    folder = find_checkpoint(Path(path)) or find_weights(path)
    if folder is not None:
        class_names = read_class_names(folder)
        path = str(folder / "model.safetensors")
    if not Path(path).is_file():
        return _published_weights(path), class_names
    try:
        return load_state_dict(path), class_names
    except (RuntimeError, SafetensorError, EOFError, KeyError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: not a readable checkpoint: {first_line(error)}") from error


def _published_weights(name: str) -> dict[str, Tensor]:
    """The weights that timm knows under a name, such as 'resnet18.a1_in1k'; timm downloads those of others."""
    if not timm.is_model(name.partition(".")[0]):
        raise UserError(f"{name}: no such file or folder, and no name of weights that timm knows")
    try:
        model: nn.Module = timm.create_model(name, pretrained=True)
    except (RuntimeError, OSError, ValueError) as error:
        raise UserError(f"{name}: no such file or folder, and as a name: {first_line(error)}") from error
    return model.state_dict()
