"""The run's metrics: one JSON object a line, with no gap and no double line after a resume; TensorBoard if there."""

import json
import os
from pathlib import Path
from typing import Any


class MetricsFile:
    """Appends to ``metrics.jsonl``, which is first cut to the length that the checkpoint knew.

    Args:
        folder: The run's folder.
        length: Bytes of the file that belong to steps before the present one.
        step: The present step.
    """

    def __init__(self, folder: Path, length: int, step: int) -> None:
        self._file = (folder / "metrics.jsonl").open("ab")
        self._file.truncate(min(length, self._file.tell()))
        self._file.seek(0, os.SEEK_END)
        self._board = _tensorboard(folder, step)

    def write(self, **values: Any) -> None:
        """Append a line."""
        self._file.write((json.dumps(values) + "\n").encode())
        self._file.flush()
        if self._board is not None:
            for key, value in values.items():
                if isinstance(value, int | float) and key != "step":
                    self._board.add_scalar(f"{values['kind']}/{key}", value, values["step"])

    def sync(self) -> int:
        """Force what was written to the disk; return its length in bytes, for a checkpoint to count on."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's ``metrics.jsonl``; none where there is no such file."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _tensorboard(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # an extra
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step)
