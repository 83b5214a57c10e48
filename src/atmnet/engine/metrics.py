"""The run's metrics: one JSON object per line, without gaps or repeated lines after a resume."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from atmnet.engine.board import Board
from atmnet.engine.trackers import Trackers
from atmnet.files import flush_file, open_to_append, replacing, to_json, write_flushed
from atmnet.records import Record, parse_json
from atmnet_cli.errors import UserError
from atmnet_cli.printing import print_line

_NAME = "metrics.jsonl"


class MetricsFile:
    """Appends to ``metrics.jsonl``, after it was cut to what it was at the time of the checkpoint.

    Args:
        folder: The run's folder.
        length: Length of the file at the checkpoint, in bytes.
        step: Step of the checkpoint.
        trackers: Names of experiment trackers, see :data:`~atmnet.engine.trackers.TRACKERS`.
        options: The run's options, for the trackers.
        warn: Called with a line about a tracker that fails.

    Attributes:
        board: TensorBoard's files.
        note: What is wrong with a file that somebody has changed since, and which lines are kept; else empty.
    """

    def __init__(
        self,
        folder: Path,
        length: int,
        step: int,
        trackers: Sequence[str] = (),
        options: dict[str, Any] | None = None,
        warn: Callable[[str], None] = print_line,
    ) -> None:
        path = folder / _NAME
        self.note = _repair(path, length, step)
        self._file = open_to_append(path)
        lines = read_metrics(folder)
        self.board = Board(folder, step, lines)
        self._trackers = Trackers(trackers, folder, options or {}, lines if trackers else [], warn)

    def write(self, **values: Any) -> None:
        """Append a line; ``values`` must contain ``kind`` and ``step``. Numbers that are not finite become null."""
        self._file.write((to_json(values) + "\n").encode())
        self._file.flush()
        self._trackers.write(values)
        self.board.write(values)

    def sync(self) -> int:
        """Flush the file to the disk; returns its length in bytes, for the checkpoint."""
        flush_file(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()
        self._trackers.close()
        self.board.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's ``metrics.jsonl``; an empty list if there is no such file.

    Args:
        folder: The folder of the run.

    Raises:
        UserError: If a line is not one of a run's.

    Examples:
        >>> from atmnet.engine import read_metrics
        >>> read_metrics(Path("no-such-run"))
        []
    """
    path = folder / _NAME
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    return [_read_line(line, f"{path}: line {number}") for number, line in enumerate(lines, start=1)]


def _read_line(line: str, where: str) -> dict[str, Any]:
    """A line's object; earlier versions wrote numbers that are not finite as Python does."""
    record = Record(parse_json(line, where, constants=lambda _: None), where)
    record.text("kind")
    record.integer("step")
    for key, value in record.value.items():
        if key != "kind" and not (value is None or type(value) in (int, float)):
            raise UserError(f"{where}: {key}: expected a number")
    return record.value


def _repair(path: Path, length: int, step: int) -> str:
    """Cut a file to the lines of the checkpoint; returns what is wrong with it, if it is not as it was then."""
    content = path.read_bytes() if path.exists() else b""
    kept = content[:length]
    whole = len(kept) == length and (not kept or (kept.endswith(b"\n") and _is_before(kept.splitlines()[-1], step)))
    if whole:
        if len(content) > length:
            os.truncate(path, length)
        return ""
    lines = [line for line in content.split(b"\n") if line and _is_before(line, step)]
    with replacing(path) as temporary:
        write_flushed(temporary, b"".join(line + b"\n" for line in lines))
    return f"{path}: not as it was at step {step}; kept {len(lines)} whole lines up to this step"


def _is_before(line: bytes, step: int) -> bool:
    """Whether a line is whole, and of this step or an earlier one."""
    try:
        return bool(_read_line(line.decode(), "")["step"] <= step)
    except (UserError, UnicodeDecodeError):
        return False
