"""The folder of a run: its recorded options, and the lock that keeps a second process out."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from atmnet.data.own_split import SPLIT_FILE
from atmnet.engine.checkpoint import latest_checkpoint
from atmnet.engine.claim import claimed
from atmnet.engine.data_record import DATA_FILE
from atmnet.engine.extension import LENGTH
from atmnet.engine.recorded import OPTIONS_FILE, read_run
from atmnet.engine.trackers import TRACKERS_FILE
from atmnet.files import refuse_links_out, to_json, write_json
from atmnet_cli.errors import UserError
from atmnet_cli.options import TrainOptions

#: The file whose lock keeps a second process out.
_LOCK_FILE = ".lock"
#: All that a run writes in its folder.
_CONTENT = (
    _LOCK_FILE,
    OPTIONS_FILE,
    DATA_FILE,
    SPLIT_FILE,
    "metrics.jsonl",
    TRACKERS_FILE,
    "tensorboard",
    "checkpoints",
    "last",
    "best",
)
#: Options that may change when a run is resumed, since they do not affect its steps.
_MAY_CHANGE = {
    "patience",
    "min_delta",
    "auto_batch",  # batch_size holds what it has chosen
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
    "trackers",
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
    check_folder(options)
    with claimed(folder / _LOCK_FILE) as is_held:
        if not is_held:
            raise UserError(f"output: {folder} is in use by another process")
        try:
            yield
        finally:
            if is_new and not (folder / OPTIONS_FILE).exists():  # the run failed before its first step
                (folder / _LOCK_FILE).unlink()
                folder.rmdir()


def check_folder(options: TrainOptions) -> None:
    """Refuse a folder that is not for this run. It need not exist.

    Raises:
        UserError: If the folder belongs to a run with other options, or contains other files.
    """
    folder = Path(options.output)
    if not folder.exists():
        return
    refuse_links_out(folder, _CONTENT)
    requested = json.loads(to_json(asdict(options)))
    if latest_checkpoint(folder) is not None:
        recorded = read_run(folder)
        differences = sorted(option_differences(recorded, requested, _MAY_CHANGE.union(LENGTH)))  # see change_length
        if differences:
            raise UserError(
                f"output: {folder} holds another run: {'; '.join(differences[:4])}"
                f"{' ...' if len(differences) > 4 else ''}. Choose another folder, or use the same options to resume"
            )
    elif not (folder / OPTIONS_FILE).exists() and any(map(_is_of_others, folder.iterdir())):
        raise UserError(f"output: {folder} holds files that are not a run's; choose another folder")


def _is_of_others(path: Path) -> bool:
    """Whether a file or folder is none that a run leaves which was killed as it tried to save before its first step."""
    if path.name == "checkpoints" and path.is_dir():
        return any(not each.name.startswith(".") for each in path.iterdir())
    return not path.name.startswith(".")


def record_options(folder: Path, options: TrainOptions) -> None:
    """Record a run's options in its folder, unless the run already has a checkpoint."""
    if latest_checkpoint(folder) is None:
        write_json(folder / OPTIONS_FILE, asdict(options))


def option_differences(
    recorded: object, requested: object, may_change: Collection[str], name: str = ""
) -> Iterator[str]:
    """A text for each option that differs, such as "batch_size was 8, is 16".

    Args:
        recorded, requested: Nested options.
        may_change: Dotted names of options that do not count.
        name: Dotted name of the group of options.
    """
    if isinstance(recorded, dict) and isinstance(requested, dict):
        for key in recorded.keys() | requested.keys():
            inner = f"{name}.{key}" if name else key
            yield from option_differences(recorded.get(key), requested.get(key), may_change, inner)
    elif recorded != requested and name not in may_change:
        yield f"{name} was {recorded!r}, is {requested!r}"
