"""The folder of a run: its recorded options, and the lock that keeps a second process out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from atmnet.engine.checkpoint import latest_checkpoint
from atmnet.files import write_json
from atmnet_cli.errors import UserError
from atmnet_cli.options import TrainOptions
from atmnet_cli.renamed import translate

try:
    import fcntl
except ImportError:  # Windows lacks it: there, two runs in one folder are not detected
    fcntl = None  # type: ignore[assignment]

#: The file in a run's folder that holds its options.
_OPTIONS_FILE = "options.json"
#: Options that may change when a run is resumed, since they do not affect its result.
_MAY_CHANGE = {
    "output",
    "data.workers",
    "eval_batch_size",
    "device",
    "threads",
    "checkpoint_every",
    "keep",
    "log_every",
}


@contextmanager
def run_folder(options: TrainOptions) -> Iterator[None]:
    """Create the run's folder if it does not exist, and hold its lock.

    Raises:
        UserError: If the folder belongs to a run with other options, contains other files, or is in use.
    """
    folder = Path(options.output)
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / _OPTIONS_FILE
    requested = json.loads(json.dumps(asdict(options)))
    defaults = json.loads(json.dumps(asdict(TrainOptions(output=""))))
    if latest_checkpoint(folder) is not None:
        recorded = translate(json.loads(record.read_text(encoding="utf-8")))
        # An earlier version may have recorded fewer options; the run then used the defaults of the others.
        if recorded.get("ema"):
            defaults["ema_warmup"] = False  # the moving averages of those versions did not warm up
        differences = sorted(_differences(_with_defaults(recorded, defaults), requested))
        if differences:
            raise UserError(
                f"output: {folder} holds another run: {'; '.join(differences[:4])}"
                f"{' ...' if len(differences) > 4 else ''}. Choose another folder, or use the same options to resume"
            )
    elif not record.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UserError(f"output: {folder} holds files that are not a run's; choose another folder")
    with (folder / ".lock").open("w") as lock:
        if fcntl is not None:
            try:
                # Unlike a lock of flock, loader processes do not inherit it; they outlive a killed run by seconds.
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                raise UserError(f"output: {folder} is in use by another process") from error
        try:
            yield
        finally:
            if is_new and not record.exists():  # the run failed before its first step
                (folder / ".lock").unlink()
                folder.rmdir()


def record_options(folder: Path, options: TrainOptions) -> None:
    """Record a run's options in its folder, unless the run already has a checkpoint."""
    if latest_checkpoint(folder) is None:
        write_json(folder / _OPTIONS_FILE, asdict(options))


def find_run(path: Path) -> Path | None:
    """The run's folder for a run or checkpoint folder; None if ``path`` does not belong to a run."""
    for folder in (path, *path.resolve().parents[:2]):
        if (folder / _OPTIONS_FILE).is_file():
            return folder
    return None


def read_options(path: Path) -> dict[str, Any] | None:
    """The options of the run that a run or checkpoint folder belongs to, under the names of this version.

    Returns:
        The options; None if the folder belongs to no run.
    """
    run = find_run(path)
    return None if run is None else translate(json.loads((run / _OPTIONS_FILE).read_text(encoding="utf-8")))


def _with_defaults(recorded: object, defaults: object) -> object:
    if isinstance(recorded, dict) and isinstance(defaults, dict):
        return {**defaults, **{key: _with_defaults(value, defaults.get(key)) for key, value in recorded.items()}}
    return recorded


def _differences(recorded: object, requested: object, name: str = "") -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(requested, dict):
        for key in recorded.keys() | requested.keys():
            yield from _differences(recorded.get(key), requested.get(key), f"{name}.{key}" if name else key)
    elif recorded != requested and name not in _MAY_CHANGE:
        yield f"{name} was {recorded!r}, is {requested!r}"
