"""Checkpoints: a folder each, whole or absent, in safetensors and JSON; no pickle.

    checkpoints/step-00000084/
        config.json          architecture, classes, preprocessing (of a classifier: timm's hub layout)
        model.safetensors    the weights to use: the average's where one is kept
        trainer.safetensors  the optimiser's state, and the weights in training where an average is kept
        trainer.json         counters, metrics so far, and what is not a tensor of the optimiser's state

So ``timm.create_model("local-dir:.../step-00000084", pretrained=True)`` loads a classifier, without our engine.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from atmnet.files import flush_folder, point, write_flushed, write_json, write_tensors
from atmnet.tasks import Network
from atmnet_cli.errors import UserError

_PREFIX = "step-"


def save_checkpoint(
    run: Path, step: int, network: Network, weights: dict[str, Tensor], trainer: dict[str, Any]
) -> Path:
    """Write a checkpoint of ``step`` and point ``last`` to it.

    Args:
        run: The run's folder.
        step: Steps taken.
        network: Whose architecture, classes and preprocessing to store.
        weights: State dict to use for evaluation and prediction.
        trainer: Nested state of the training, of tensors, numbers, strings, lists and dicts.
    """
    folder = _folder(run, step)
    beside = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        tensors: dict[str, Tensor] = {}
        plain = _pack(trainer, "", tensors)
        write_tensors(beside / "model.safetensors", weights)
        write_tensors(beside / "trainer.safetensors", tensors)
        write_flushed(beside / "trainer.json", json.dumps(plain).encode())
        network.write_config(beside / "config.json")
        write_flushed(beside / "config.json", (beside / "config.json").read_bytes())
        flush_folder(beside)
        if folder.exists():  # the same step again, after an interruption: the same bits
            _remove(folder)
        os.replace(beside, folder)
        flush_folder(folder.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    point(run / "last", folder)
    return folder


def amend_checkpoint(run: Path, step: int, counters: dict[str, Any]) -> None:
    """Replace entries of the trainer state in a checkpoint, atomically; tensors in them stay as they are."""
    path = _folder(run, step) / "trainer.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    for pair in state["dict"]:
        if pair[0] in counters:
            pair[1] = _pack(counters[pair[0]], pair[0], {})
    write_json(path, state)
    flush_folder(path.parent)


def latest_checkpoint(run: Path) -> Path | None:
    """The run's newest checkpoint."""
    return max((run / "checkpoints").glob(f"{_PREFIX}*"), default=None)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and the nested trainer state that :func:`save_checkpoint` was given.

    Raises:
        UserError: Where somebody or something damaged it since.
    """
    try:
        tensors = safetensors.torch.load_file(folder / "trainer.safetensors")
        plain = json.loads((folder / "trainer.json").read_text(encoding="utf-8"))
        return safetensors.torch.load_file(folder / "model.safetensors"), _unpack(plain, tensors)
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{folder}: damaged: {error}; remove it, to go on from the checkpoint before it") from error


def prune_checkpoints(run: Path, keep: int, best_step: int | None) -> None:
    """Remove all but the ``keep`` newest checkpoints and the best one, and point ``last`` and ``best`` to these.

    Also makes up for a process that was killed before it could do so.
    """
    for unfinished in (run / "checkpoints").glob(f".{_PREFIX}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    for unfinished in (run / "checkpoints").glob(f"{_PREFIX}*/.*.tmp"):
        unfinished.unlink()
    best = _folder(run, best_step) if best_step is not None else None
    folders = sorted((run / "checkpoints").glob(f"{_PREFIX}*"))
    point(run / "last", folders[-1])
    if best is not None and best.is_dir():
        point(run / "best", best)
    for folder in folders[: -max(keep, 1)]:
        if folder != best:
            _remove(folder)


def _folder(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"{_PREFIX}{step:08d}"


def _remove(folder: Path) -> None:
    """Rename, then remove: a kill in between leaves no torn checkpoint."""
    gone = folder.with_name(f".{folder.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    os.replace(folder, gone)
    shutil.rmtree(gone, ignore_errors=True)


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` as JSON with its tensors moved to ``tensors``; dicts become lists of pairs, to keep the keys' types."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu()
        return {"tensor": name}
    if isinstance(value, dict):
        pairs = [[key, _pack(item, f"{name}.{key}".lstrip("."), tensors)] for key, item in value.items()]
        return {"dict": pairs}
    if isinstance(value, list | tuple):
        return [_pack(item, f"{name}.{i}", tensors) for i, item in enumerate(value)]
    return value


def _unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _unpack(item, tensors) for key, item in value["dict"]}
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    return value
