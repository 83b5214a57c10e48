"""The folder of a run: its recorded options, and the lock that keeps a second process out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from atmnet.data.own_split import SPLIT_FILE
from atmnet.engine.checkpoint import latest_checkpoint
from atmnet.engine.data_record import DATA_FILE
from atmnet.engine.extension import LENGTH
from atmnet.engine.recorded import OPTIONS_FILE, read_run
from atmnet.files import is_unsupported, open_to_append, refuse_links_out, to_json, write_json
from atmnet_cli.errors import UserError
from atmnet_cli.options import TrainOptions

try:
    import fcntl
except ImportError:  # Windows lacks it: there, two runs in one folder are not detected
    fcntl = None  # type: ignore[assignment]

#: The file whose lock keeps a second process out.
_LOCK_FILE = ".lock"
#: All that a run writes in its folder.
_CONTENT = (
    _LOCK_FILE,
    OPTIONS_FILE,
    DATA_FILE,
    SPLIT_FILE,
    "metrics.jsonl",
    "tensorboard",
    "checkpoints",
    "last",
    "best",
)
#: Options that may change when a run is resumed, since they do not affect its steps.
_MAY_CHANGE = {
    "patience",
    "min_delta",
    "output",
    "data.workers",
    "data.split_file",
    "eval_batch_size",
    "device",
    "threads",
    "checkpoint_every",
    "keep",
    "allow_data_change",
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
    refuse_links_out(folder, _CONTENT)
    record = folder / OPTIONS_FILE
    requested = json.loads(to_json(asdict(options)))
    if latest_checkpoint(folder) is not None:
        recorded = read_run(folder)
        differences = sorted(_differences(recorded, requested))
        if differences:
            raise UserError(
                f"output: {folder} holds another run: {'; '.join(differences[:4])}"
                f"{' ...' if len(differences) > 4 else ''}. Choose another folder, or use the same options to resume"
            )
    elif not record.exists() and any(map(_is_of_others, folder.iterdir())):
        raise UserError(f"output: {folder} holds files that are not a run's; choose another folder")
    with open_to_append(folder / _LOCK_FILE) as lock:
        if fcntl is not None:
            try:
                # Unlike a lock of flock, loader processes do not inherit it; they outlive a killed run by seconds.
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                raise UserError(f"output: {folder} is in use by another process") from error
            except OSError as error:  # some network shares have no locks
                if not is_unsupported(error):
                    raise
        try:
            yield
        finally:
            if is_new and not record.exists():  # the run failed before its first step
                (folder / _LOCK_FILE).unlink()
                folder.rmdir()


def _is_of_others(path: Path) -> bool:
    """Whether a file or folder is none that a run leaves which was killed as it tried to save before its first step."""
    if path.name == "checkpoints" and path.is_dir():
        return any(not each.name.startswith(".") for each in path.iterdir())
    return not path.name.startswith(".")


def record_options(folder: Path, options: TrainOptions) -> None:
    """Record a run's options in its folder, unless the run already has a checkpoint."""
    if latest_checkpoint(folder) is None:
        write_json(folder / OPTIONS_FILE, asdict(options))


def _differences(recorded: object, requested: object, name: str = "") -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(requested, dict):
        for key in recorded.keys() | requested.keys():
            yield from _differences(recorded.get(key), requested.get(key), f"{name}.{key}" if name else key)
    elif recorded != requested and name not in _MAY_CHANGE and name not in LENGTH:  # see change_length
        yield f"{name} was {recorded!r}, is {requested!r}"
