"""The folder of a run: whose it is, and the lock that keeps a second process out."""

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
except ImportError:  # not on Windows: there, two runs in one folder are not noticed
    fcntl = None  # type: ignore[assignment]

#: The file in a run's folder that holds its options.
_RECORD = "options.json"
#: Options that change how fast or where a run goes, but not what comes out.
_FREE = {"output", "data.workers", "eval_batch_size", "device", "threads", "checkpoint_every", "keep"}


@contextmanager
def run_folder(options: TrainOptions) -> Iterator[None]:
    """Create the run's folder, or come back to it, and hold its lock. Writes nothing else yet.

    Raises:
        UserError: Where it belongs to a run with other options, holds foreign files, or is in use.
    """
    folder = Path(options.output)
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / _RECORD
    ours = json.loads(json.dumps(asdict(options)))
    defaults = json.loads(json.dumps(asdict(TrainOptions(output=""))))
    if latest_checkpoint(folder) is not None:
        theirs = translate(json.loads(record.read_text(encoding="utf-8")))
        # An option that the run's version did not know has its default there.
        differences = sorted(_differences(_completed(theirs, defaults), ours))
        if differences:
            raise UserError(
                f"output: {folder} holds another run: {'; '.join(differences[:4])}"
                f"{' ...' if len(differences) > 4 else ''}. Choose another folder, or the same options to go on"
            )
    elif not record.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UserError(f"output: {folder} holds files that are not a run's; choose another folder")
    with (folder / ".lock").open("w") as lock:
        if fcntl is not None:
            try:
                # Unlike flock's, this lock is not passed on to loader processes, which outlive a killed run by seconds.
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                raise UserError(f"output: {folder} is in use by another process") from error
        try:
            yield
        finally:
            if fresh and not record.exists():  # refused before it began
                (folder / ".lock").unlink()
                folder.rmdir()


def record_options(folder: Path, options: TrainOptions) -> None:
    """Make the folder that of a run with ``options``; once there is a checkpoint, it stays that."""
    if latest_checkpoint(folder) is None:
        write_json(folder / _RECORD, asdict(options))


def find_run(path: Path) -> Path | None:
    """The run that a run or checkpoint folder belongs to; None if it belongs to none."""
    for folder in (path, *path.resolve().parents[:2]):
        if (folder / _RECORD).is_file():
            return folder
    return None


def read_options(path: Path) -> dict[str, Any] | None:
    """The options of the run that a run or checkpoint folder belongs to, under the names of this version.

    Returns:
        The options; None if the folder belongs to no run.
    """
    run = find_run(path)
    return None if run is None else translate(json.loads((run / _RECORD).read_text(encoding="utf-8")))


def _completed(theirs: Any, defaults: Any) -> Any:
    if isinstance(theirs, dict) and isinstance(defaults, dict):
        return {**defaults, **{key: _completed(value, defaults.get(key)) for key, value in theirs.items()}}
    return theirs


def _differences(theirs: Any, ours: Any, name: str = "") -> Iterator[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in theirs.keys() | ours.keys():
            yield from _differences(theirs.get(key), ours.get(key), f"{name}.{key}" if name else key)
    elif theirs != ours and name not in _FREE:
        yield f"{name} was {theirs!r}, is {ours!r}"
