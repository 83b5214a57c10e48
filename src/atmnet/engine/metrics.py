"""The run's metrics: one JSON object per line, without gaps or repeated lines after a resume; and TensorBoard files."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atmnet.files import open_to_append

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class MetricsFile:
    """Appends to ``metrics.jsonl``, after it was truncated to its length at the time of the checkpoint.

    Args:
        folder: The run's folder.
        length: Length of the file at the checkpoint, in bytes.
        step: Step of the checkpoint.
    """

    def __init__(self, folder: Path, length: int, step: int) -> None:
        self._file = open_to_append(folder / "metrics.jsonl")
        self._file.truncate(min(length, self._file.tell()))
        self._file.seek(0, os.SEEK_END)
        self._board = _summary_writer(folder, step)

    def write(self, **values: Any) -> None:
        """Append a line; ``values`` must contain ``kind`` and ``step``."""
        self._file.write((json.dumps(values) + "\n").encode())
        self._file.flush()
        if self._board is not None:
            for key, value in values.items():
                if isinstance(value, int | float) and key != "step":
                    self._board.add_scalar(f"{values['kind']}/{key}", value, values["step"])

    def sync(self) -> int:
        """Flush the file to the disk; returns its length in bytes, for the checkpoint."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's ``metrics.jsonl``; an empty list if there is no such file."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _summary_writer(folder: Path, step: int) -> "SummaryWriter | None":
    """TensorBoard's writer; None if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step)
