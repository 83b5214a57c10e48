"""Weights by name: read any of the authors' files into the store, list what is there, and hand it on.

Shapes: K classes.
"""

import argparse
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from timm.models._hub import save_config_for_hf
from torch import Tensor, nn

from atmnet.files import flush_folder, write_flushed, write_tensors
from atmnet.integrations.hub import card, push_to_hub
from atmnet.models._checkpoint import convert
from atmnet.models.create import data_config
from atmnet.models.store import find_weights, store_folder, stored_weights
from atmnet.records import Record
from atmnet.tasks.classifier import Classifier, imagenet_classes
from atmnet.tasks.weights import read_weights
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.output_paths import check_output_folder

__all__ = ["StoredWeights", "export_weights", "import_weights", "list_weights", "push_weights"]

#: Parts that only some networks of a variant have.
_OPTIONAL = ("head.", "norm.", "stage_norms.")


class StoredWeights(NamedTuple):
    """A set of weights on this machine.

    Attributes:
        name: Architecture and tag, such as 'atmnet_tiny.in1k'.
        folder: Its folder, in timm's hub layout.
        classes: Number of classes; 0 for a backbone without a classifier.
        size: Of its file, in bytes.
    """

    name: str
    folder: Path
    classes: int
    size: int


def list_weights() -> list[StoredWeights]:
    """All weights on this machine, by name.

    Returns:
        Those of the store and those that come with the package, in the order of their names.

    Examples:
        >>> from atmnet.integrations.weights import list_weights
        >>> "atmnet_nano.digits" in [each.name for each in list_weights()]
        True
    """
    return [_describe(name, folder) for name, folder in sorted(stored_weights().items())]


def import_weights(path: str | Path, tag: str = "") -> StoredWeights:
    """Recognise a file of weights, check it, and put it into the store, where ``pretrained=True`` finds it.

    The variant follows from the shapes. Of a training checkpoint, the moving average is taken, which has the published
    accuracy. A segmenter's file gives its backbone.

    Args:
        path: A file of the authors, or any file or folder of an ATMNet's weights in our layout.
        tag: The part of the name after the dot, such as 'in1k_384'. Default: what the file says of itself.

    Returns:
        What was stored, and where.

    Raises:
        UserError: If the file is damaged or holds something else. Nothing is stored then.

    Examples:
        >>> import_weights("activemlp_tiny.pth").name  # doctest: +SKIP
        'atmnet_tiny.in1k'
    """
    weights, _ = read_weights(str(path))
    try:
        architecture = _recognise(weights)
        guessed = _tag(architecture, weights, Path(path))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    tags = [name.partition(".")[2] for name in timm.list_models(f"{architecture}.*", include_tags=True)]
    if (tag or guessed) not in tags:
        raise UserError(f"tag: got {tag or guessed!r}, expected one of {', '.join(tags)} for {architecture}")
    name = f"{architecture}.{tag or guessed}"
    model = _load(name, weights, path)
    return _describe(name, _store(name, model, Path(path).name))


def export_weights(name: str, folder: str | Path) -> Path:
    """Copy weights from the store to a folder, which timm loads as 'local-dir:FOLDER'.

    Args:
        name: Architecture and tag, such as 'atmnet_tiny.in1k'.
        folder: Folder to write to; it must be new or empty.

    Returns:
        The folder.

    Raises:
        UserError: If there are no such weights, or the folder exists and is not empty.

    Examples:
        >>> from atmnet.integrations.weights import export_weights
        >>> folder = export_weights("atmnet_nano.digits", "digits")
        >>> sorted(path.name for path in folder.iterdir())[:2]
        ['README.md', 'config.json']
    """
    source, target = _folder_of(name), Path(folder)
    check_output_folder(target, "folder")
    if target.is_dir() and any(target.iterdir()):
        raise UserError(f"folder: {target} is not empty; choose a new folder")
    shutil.copytree(source, target, dirs_exist_ok=True)
    return target


def push_weights(owner: str, names: list[str] | None = None, *, private: bool = True) -> list[str]:
    """Upload weights to the hub as OWNER/NAME, where ``pretrained=True`` finds them if ATMNET_HUB is OWNER.

    Args:
        owner: User or organisation on the hub.
        names: The weights. Default: all in the store, without those that come with the package.
        private: Whether repositories that are created are private.

    Returns:
        The addresses of the repositories.

    Raises:
        UserError: If there are no such weights, or the hub refuses.

    Examples:
        >>> push_weights("OWNER", ["atmnet_tiny.in1k"])  # doctest: +SKIP
    """
    own = [name for name, folder in stored_weights().items() if folder.parent == store_folder()]
    chosen = names or own
    if not chosen:
        raise UserError(f"weights: there are none in {store_folder()}; `atmnet weights import FILE` puts them there")
    folders = [_folder_of(name) for name in chosen]
    return [
        push_to_hub(folder, f"{owner}/{name}", private=private) for name, folder in zip(chosen, folders, strict=True)
    ]


def _folder_of(name: str) -> Path:
    folder = find_weights(name)
    if folder is None:
        present = ", ".join(stored_weights())
        raise UserError(f"weights: there are no weights {name!r} on this machine; there are {present}")
    return folder


def _describe(name: str, folder: Path) -> StoredWeights:
    classes = Record.read(folder / "config.json").integer("num_classes")
    return StoredWeights(name, folder, classes, (folder / "model.safetensors").stat().st_size)


def _recognise(weights: dict[str, Tensor]) -> str:
    """The architecture of these weights."""
    shapes: dict[str, Any] = {key: torch.empty(value.shape, device="meta") for key, value in weights.items()}
    for name in timm.list_models("atmnet_*"):
        model = _empty(name)
        try:
            own = convert(shapes, model)
        except ValueError:
            continue
        expected = {key: value.shape for key, value in model.state_dict().items() if not key.startswith(_OPTIONAL)}
        if expected == {key: value.shape for key, value in own.items() if not key.startswith(_OPTIONAL)}:
            return name
    example = next(iter(weights), "nothing")
    raise ValueError(f"not the weights of an ATMNet; got {len(weights)} tensors, e.g. {example}")


@cache
def _empty(name: str) -> Any:
    """A network without memory, for its shapes."""
    with torch.device("meta"):
        return timm.create_model(name)


def _tag(architecture: str, weights: dict[str, Tensor], path: Path) -> str:
    """The tag by the head, and for ImageNet's classifiers by the size of pictures that the file records."""
    if not any(key.startswith("head.") for key in weights):
        if not any(re.match(r"backbone\.norm_0|stage_norms\.0", key) for key in weights):
            raise ValueError("contains neither a classifier nor the norms of a segmenter's stages")
        return "ade20k_upernet" if any(key.startswith("decode_head.psp_modules") for key in weights) else "ade20k_fpn"
    head = next(value for key, value in weights.items() if re.fullmatch(r"head\.(fc\.)?weight", key))
    default = timm.get_pretrained_cfg(architecture)
    if default is None or len(head) != default.num_classes:
        expected = default.num_classes if default is not None else 1000
        raise ValueError(f"a classifier of {len(head)} classes; expected one of {expected}, whose name is known")
    return "in1k_384" if _recorded_img_size(path) == 384 else str(default.tag)


def _recorded_img_size(path: Path) -> int | None:
    """The size of pictures in the arguments of a training checkpoint; None if it records none."""
    if path.suffix == ".safetensors" or not path.is_file():
        return None
    with torch.serialization.safe_globals([argparse.Namespace]):
        checkpoint = torch.load(path, map_location="meta", weights_only=True)
    arguments = checkpoint.get("args")
    values = [getattr(arguments, key, None) for key in ("input_size", "img_size")]
    return next((value for value in values if isinstance(value, int)), None)


def _load(name: str, weights: dict[str, Tensor], path: str | Path) -> nn.Module:
    """The network ``name`` with these weights, all of them finite."""
    config = timm.get_pretrained_cfg(name)
    kwargs: dict[str, Any] = {"stage_norms": True} if config is not None and not config.num_classes else {}
    model: Any = timm.create_model(name, **kwargs)
    own = convert(weights, model)
    optional = tuple(part for part in _OPTIONAL if not any(key.startswith(part) for key in own))
    expected = model.state_dict()
    own = {key: value for key, value in own.items() if key in expected}
    own |= {key: value for key, value in expected.items() if key.startswith(optional)} if kwargs and optional else {}
    try:
        model.load_state_dict(own)
    except RuntimeError as error:
        raise UserError(f"{path}: not weights of {name}: {first_line(error)}") from error
    broken = [key for key, value in own.items() if not value.isfinite().all()]
    if broken:
        raise UserError(f"{path}: damaged: {len(broken)} tensors have values that are not finite, e.g. {broken[0]}")
    return model


def _store(name: str, model: nn.Module, origin: str) -> Path:
    """Write a network into the store, whole or not at all, in place of what was there."""
    root = store_folder()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".import-", dir=root) as holder:
        new = Path(holder) / "new"
        new.mkdir()
        description = f"The weights of {origin}, converted by atmnet to timm's layout. Their licence is their authors'."
        write_weights(new, name, model, description)
        if (root / name).exists():
            os.replace(root / name, Path(holder) / "former")
        os.replace(new, root / name)
        flush_folder(root)
    return root / name


def write_weights(
    folder: Path,
    name: str,
    model: nn.Module,
    description: str,
    details: Mapping[str, str] | None = None,
    license: str = "",
) -> None:
    """Write a network in timm's hub layout: config.json, model.safetensors and the card README.md.

    Args:
        folder: An existing folder.
        name: Architecture and tag.
        model: The network.
        description: What the weights are, for the card.
        details: Further facts for the card.
        license: Identifier of their licence, or '' if the card states none.
    """
    config: Any = model.pretrained_cfg
    classes = imagenet_classes() if model.num_classes == 1000 else list(config.get("label_names") or ())
    write_tensors(folder / "model.safetensors", model.state_dict(), {"format": "pt"})
    if classes:
        Classifier(model, classes, data_config(model)).write_config(folder / "config.json")
    else:
        save_config_for_hf(model, str(folder / "config.json"))
    facts = {
        "Architecture": name.partition(".")[0],
        "Parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        "Classes": str(len(classes)) if classes else "none: a backbone with the norms of a segmenter's stages",
        **(details or {}),
    }
    text = card(name, facts["Architecture"], description, facts, license, source=name)
    write_flushed(folder / "README.md", text.encode())
