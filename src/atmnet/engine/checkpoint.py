"""Checkpoints: each is a folder of safetensors and JSON, without pickle, that is complete or does not exist.

    checkpoints/step-00000084/
        config.json          architecture, classes, preprocessing (for a classifier: timm's hub layout)
        model.safetensors    the weights to evaluate and deploy: the moving average, if there is one
        trainer.safetensors  the tensors of the optimiser's state; with a moving average, also the trained weights
        trainer.json         counters, the log's state, and the rest of the optimiser's state; checksums of all of this

``timm.create_model("local-dir:.../step-00000084", pretrained=True)`` loads a classifier without this package's engine.
"""

import json
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from atmnet.engine.state import pack, unpack
from atmnet.files import checksum, flush_folder, point_to, replacing, write_flushed, write_tensors
from atmnet.records import Record, read_json
from atmnet.tasks import Network
from atmnet_cli.errors import UserError, first_line

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
    with _written(folder, network, weights, trainer) as partial:
        if folder.exists():  # the step was repeated after an interruption, with the same bits
            _remove(folder)
        os.replace(partial, folder)
        flush_folder(folder.parent)
    point_to(run / "last", folder)
    return folder


def rehearse_checkpoint(
    run: Path, network: Network, weights: dict[str, Tensor], trainer: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Write a checkpoint, read it back and remove it: so a run learns of what cannot be saved before its first step.

    Returns:
        What :func:`load_checkpoint` returned for it.

    Raises:
        UnsavableState: If the trainer state has a value that cannot be saved.
        OSError: If writing fails.
        UserError: If the checkpoint cannot be read.
    """
    folder = _folder(run, 0)
    try:
        with _written(folder, network, weights, trainer) as partial:
            read_json(partial / "config.json")
            loaded = load_checkpoint(partial)
            _remove(partial, folder)
        return loaded
    finally:
        if folder.parent.is_dir() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def amend_checkpoint(run: Path, step: int, counters: dict[str, Any]) -> None:
    """Atomically replace entries of the trainer state in a checkpoint; their tensors stay as they are."""
    path = _folder(run, step) / "trainer.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    for pair in state["dict"]:
        if pair[0] in counters:
            pair[1] = pack(counters[pair[0]], pair[0], {})
    with replacing(path) as temporary:
        _write_state(temporary, state["dict"], state.get("checksums", {}))
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
        # Before numbers that JSON does not have were written as tags, Python's names of them were.
        record = Record(read_json(folder / "trainer.json", constants=float), "trainer.json")
        pairs = record.value.get("dict")
        if record.value.keys() - {"dict", "checksums"}:
            raise UserError("trainer.json is not the state of a training")
        if "checksums" in record:  # earlier versions did not write them
            for name, expected in record.record("checksums").value.items():
                if expected != (_checksum(pairs) if name == "trainer.json" else checksum(folder / Path(name).name)):
                    raise UserError(f"{name} has changed since it was written")
        state = unpack({"dict": pairs}, safetensors.torch.load_file(folder / "trainer.safetensors"))
        return safetensors.torch.load_file(folder / "model.safetensors"), state
    except (OSError, SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise damaged(folder, error) from error


def damaged(folder: Path, error: Exception) -> UserError:
    """The error for a checkpoint that cannot be resumed from."""
    text = first_line(error).removeprefix(f"{folder}/")
    return UserError(f"{folder}: damaged: {text}; remove it to resume from the previous checkpoint")


def prune_checkpoints(run: Path, keep: int, best_step: int | None) -> None:
    """Remove all but the ``keep`` newest checkpoints and the best one, and update ``last`` and ``best``.

    This also removes the temporary files of a process that was killed.
    """
    for unfinished in (run / "checkpoints").glob(f".{_PREFIX}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    for unfinished in (run / "checkpoints").glob(f"{_PREFIX}*/.*.tmp"):
        unfinished.unlink()
    best = _folder(run, best_step) if best_step is not None else None
    folders = sorted((run / "checkpoints").glob(f"{_PREFIX}*"))
    point_to(run / "last", folders[-1])
    if best is not None and best.is_dir():
        point_to(run / "best", best)
    for folder in folders[: -max(keep, 1)]:
        if folder != best:
            _remove(folder)


def checkpoint_name(step: int) -> str:
    """The name of a checkpoint's folder."""
    return f"{_PREFIX}{step:08d}"


def _folder(run: Path, step: int) -> Path:
    return run / "checkpoints" / checkpoint_name(step)


@contextmanager
def _written(folder: Path, network: Network, weights: dict[str, Tensor], trainer: dict[str, Any]) -> Iterator[Path]:
    """A temporary folder beside ``folder`` with the files of a checkpoint, flushed to the disk."""
    partial = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        tensors: dict[str, Tensor] = {}
        state = pack(trainer, "", tensors)
        write_tensors(partial / "model.safetensors", weights)
        write_tensors(partial / "trainer.safetensors", tensors)
        checksums = {name: checksum(partial / name) for name in ("model.safetensors", "trainer.safetensors")}
        _write_state(partial / "trainer.json", state["dict"], checksums)
        network.write_config(partial / "config.json")
        write_flushed(partial / "config.json", (partial / "config.json").read_bytes())
        flush_folder(partial)
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_state(path: Path, pairs: list[Any], checksums: dict[str, int]) -> None:
    content = {"dict": pairs, "checksums": {**checksums, "trainer.json": _checksum(pairs)}}
    write_flushed(path, json.dumps(content, allow_nan=False).encode())


def _checksum(pairs: object) -> int:
    return zlib.crc32(json.dumps(pairs).encode())


def _remove(folder: Path, named: Path | None = None) -> None:
    """Rename the folder and then remove it, so that a killed process leaves no incomplete checkpoint."""
    removed = folder.with_name(f".{(named or folder).name}.gone")
    shutil.rmtree(removed, ignore_errors=True)
    os.replace(folder, removed)
    shutil.rmtree(removed, ignore_errors=True)
