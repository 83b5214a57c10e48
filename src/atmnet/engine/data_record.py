"""What the data of a run were: recorded as it starts, compared as it resumes.

data.json.gz    for the training and the validation split: classes, and names, sizes and labels of the files
"""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from atmnet.data import Split
from atmnet.data.inventory import Inventory, class_changes, file_changes, keeps_labels
from atmnet.files import replacing, to_json, write_flushed
from atmnet.records import Record, parse_json
from atmnet_cli.errors import UserError

DATA_FILE = "data.json.gz"
#: Upper limit of the record when unpacked, in bytes; a million images take about 50 megabytes.
_MAX_BYTES = 2**30
_SHOWN = 4


class DataRecord:
    """The record of the data in a run's folder.

    Args:
        folder: The run's folder.
        checkpoint: The checkpoint that the run resumes from, if it does.
        allow_change: Whether to resume with other data.
        print_line: Prints a line for the user.

    Raises:
        UserError: If the record is damaged.
    """

    def __init__(
        self, folder: Path, checkpoint: Path | None, allow_change: bool, print_line: Callable[[str], None]
    ) -> None:
        self._path, self._checkpoint = folder / DATA_FILE, checkpoint
        self._allow, self._print_line = allow_change, print_line
        self._recorded: dict[str, Inventory] = {}
        self._present: dict[str, Inventory] = {}
        if checkpoint is not None and self._path.exists():
            self._recorded = _read(self._path)
        elif checkpoint is not None:
            print_line(f"{folder}: an earlier version did not record the data; they are taken to be the same")

    def compare(self, name: str, split: Split) -> None:
        """Compare a split with what is recorded.

        Args:
            name: 'train' or 'val'.
            split: The split as it is.

        Raises:
            UserError: If it is not the same; says what has changed.
        """
        present = self._present[name] = split.inventory()
        recorded = self._recorded.get(name)
        if self._checkpoint is None:
            return
        classes = recorded.classes if recorded is not None else _class_names(self._checkpoint)
        changes = class_changes(classes, present, recorded) if classes else []
        if changes and not keeps_labels(classes, present.classes):
            raise UserError(
                f"data.{name}: {_summary(changes)} since this run started, so that labels would be swapped; restore "
                f"the classes, or start a new run with --model.weights {self._checkpoint} and another --output"
            )
        is_minor = False
        if recorded is not None and not changes:
            changes = list(file_changes(recorded, present))
            # An image that an evaluation could not read may be mended; training does not depend on it.
            is_minor = name == "val" and not any(file_changes(recorded, present, sizes=False))
        if changes and not (self._allow or is_minor):
            raise UserError(
                f"data.{name}: {_summary(changes)} since this run started; restore the data, or pass "
                "--allow_data_change true to go on with them as they are"
            )
        if changes:
            self._print_line(
                f"data.{name}: {_summary(changes)} since this run started; going on with the data as they are"
            )

    def write(self) -> None:
        """Record the splits that were compared, unless the same is recorded already."""
        if self._present != self._recorded:
            content = to_json({name: asdict(data) for name, data in self._present.items()}, separators=(",", ":"))
            with replacing(self._path) as temporary:
                write_flushed(temporary, gzip.compress(content.encode(), 3, mtime=0))
        self._present, self._recorded = {}, {}  # of large data sets, hundreds of megabytes


def _summary(changes: list[str]) -> str:
    return "; ".join(changes[:_SHOWN]) + (f"; and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else "")


def _read(path: Path) -> dict[str, Inventory]:
    advice = "remove it to resume without comparing the data"
    try:
        with gzip.open(path) as file:
            content = file.read(_MAX_BYTES)
        record = Record(parse_json(content.decode(), str(path)), str(path))
        return {name: _inventory(record.record(name)) for name in record.value}
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: damaged: {error}; {advice}") from error
    except UserError as error:
        raise UserError(f"{error}; {advice}") from error


def _inventory(record: Record) -> Inventory:
    classes, names = record.texts("classes"), record.texts("names")
    sizes, labels = (record.value.get(key) for key in ("sizes", "labels"))
    for key, values, count in (("sizes", sizes, len(names)), ("labels", labels, None)):
        if not isinstance(values, list) or len(values) not in (count, *((0, len(names)) if count is None else ())):
            raise UserError(f"{record.where}: {key}: expected a number for each name")
        if not all(type(value) is int for value in values):
            raise UserError(f"{record.where}: {key}: expected integers")
    if labels and not 0 <= min(labels) <= max(labels) < len(classes):
        raise UserError(f"{record.where}: labels: expected 0 to {len(classes) - 1}")
    return Inventory(classes, names, sizes or [], labels or [], record.record("facts").value)


def _class_names(checkpoint: Path) -> list[str]:
    """The classes of a checkpoint; of an official one without names, an empty list."""
    return Record.read(checkpoint / "config.json").texts("label_names", default=[])
