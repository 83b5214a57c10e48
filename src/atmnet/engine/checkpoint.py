"""Checkpoints: each is a folder of safetensors and JSON, without pickle, that is complete or does not exist.

    checkpoints/step-00000084/
        config.json          architecture, classes, preprocessing (for a classifier: timm's hub layout)
        model.safetensors    the weights to evaluate and deploy: the moving average, if there is one
        trainer.safetensors  the tensors of the optimiser's state; with a moving average, also the trained weights
        trainer.json         counters, the log's state, and the rest of the optimiser's state

``timm.create_model("local-dir:.../step-00000084", pretrained=True)`` loads a classifier without this package's engine.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from atmnet.files import flush_folder, replace_link, write_flushed, write_json, write_tensors
from atmnet.tasks import Network
from atmnet_cli.errors import UserError

_PREFIX = "step-"


def save_checkpoint(
    run: Path, step: int, network: Network, weights: dict[str, Tensor], trainer: dict[str, Any]
) -> Path:
    """Write a checkpoint of ``step`` and point ``last`` to it.

    Args:
        run: The run's folder.
        step: Number of completed steps.
        network: The network whose architecture, classes and preprocessing are stored.
        weights: State dict for evaluation and prediction.
        trainer: The state of the training: nested dicts and lists of tensors, numbers and strings.

    Returns:
        The checkpoint's folder.
    """
    folder = _folder(run, step)
    partial = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        tensors: dict[str, Tensor] = {}
        plain = _pack(trainer, "", tensors)
        write_tensors(partial / "model.safetensors", weights)
        write_tensors(partial / "trainer.safetensors", tensors)
        write_flushed(partial / "trainer.json", json.dumps(plain).encode())
        network.write_config(partial / "config.json")
        write_flushed(partial / "config.json", (partial / "config.json").read_bytes())
        flush_folder(partial)
        if folder.exists():  # the step was repeated after an interruption, with the same bits
            _remove(folder)
        os.replace(partial, folder)
        flush_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    replace_link(run / "last", folder)
    return folder


def amend_checkpoint(run: Path, step: int, counters: dict[str, Any]) -> None:
    """Atomically replace entries of the trainer state in a checkpoint; their tensors stay as they are."""
    path = _folder(run, step) / "trainer.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    for pair in state["dict"]:
        if pair[0] in counters:
            pair[1] = _pack(counters[pair[0]], pair[0], {})
    write_json(path, state)
    flush_folder(path.parent)


def latest_checkpoint(run: Path) -> Path | None:
    """The run's newest checkpoint; None if there is none."""
    return max((run / "checkpoints").glob(f"{_PREFIX}*"), default=None)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and the trainer state that :func:`save_checkpoint` wrote.

    Raises:
        UserError: If a file is missing or damaged.
    """
    try:
        tensors = safetensors.torch.load_file(folder / "trainer.safetensors")
        plain = json.loads((folder / "trainer.json").read_text(encoding="utf-8"))
        return safetensors.torch.load_file(folder / "model.safetensors"), _unpack(plain, tensors)
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{folder}: damaged: {error}; remove it to resume from the previous checkpoint") from error


def prune_checkpoints(run: Path, keep: int, best_step: int | None) -> None:
    """Remove all but the ``keep`` newest checkpoints and the best one, and update the links ``last`` and ``best``.

    This also removes the temporary files of a process that was killed.
    """
    for unfinished in (run / "checkpoints").glob(f".{_PREFIX}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    for unfinished in (run / "checkpoints").glob(f"{_PREFIX}*/.*.tmp"):
        unfinished.unlink()
    best = _folder(run, best_step) if best_step is not None else None
    folders = sorted((run / "checkpoints").glob(f"{_PREFIX}*"))
    replace_link(run / "last", folders[-1])
    if best is not None and best.is_dir():
        replace_link(run / "best", best)
    for folder in folders[: -max(keep, 1)]:
        if folder != best:
            _remove(folder)


def _folder(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"{_PREFIX}{step:08d}"


def _remove(folder: Path) -> None:
    """Rename the folder and then remove it, so that a killed process leaves no incomplete checkpoint."""
    removed = folder.with_name(f".{folder.name}.gone")
    shutil.rmtree(removed, ignore_errors=True)
    os.replace(folder, removed)
    shutil.rmtree(removed, ignore_errors=True)


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` as JSON, its tensors moved to ``tensors``. Dicts become lists of pairs, which keep the keys' types."""
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
