"""Write a file into a temporary folder, compare it with the eager model, and only then move it to its place.

Shapes: B images, C colour channels, H x W pixels.
"""

import glob
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from atmnet.export.formats import Format
from atmnet.export.job import Job
from atmnet.export.subject import Outputs
from atmnet.export.verify import ExportReport, Run, differences, latency, sizes_to_check, worst
from atmnet_cli.errors import UserError
from atmnet_runtime import Array

try:
    import fcntl
except ImportError:  # Windows, where what a killed process left stays
    fcntl = None  # type: ignore[assignment]

#: Ending of temporary folders.
_ENDING = ".tmp"


@dataclass(frozen=True)
class Reference:
    """What a file is compared with.

    Attributes:
        run: The eager model.
        pictures: Pictures (C, H, W) to compare on, besides noise. May be empty.
        batch_size: Pictures per call.
        tolerance: Largest difference that passes; see :class:`atmnet.export.subject.TaskExport`.
    """

    run: Run
    pictures: list[Array]
    batch_size: int
    tolerance: float

    def calls(self) -> Iterator[tuple[Array, int]]:
        """Images (B, C, H, W), and how many of them are pictures; the last call repeats its last picture."""
        for start in range(0, len(self.pictures), self.batch_size):
            part = self.pictures[start : start + self.batch_size]
            yield np.stack([*part, *[part[-1]] * (self.batch_size - len(part))]), len(part)


def write_checked(
    file_format: Format, job: Job, path: Path, reference: Reference, progress: Callable[[str], None]
) -> ExportReport:
    """Write ``path`` and report how it compares with the reference.

    If anything fails, a file that was there before stays.

    Raises:
        UserError: If the format cannot express the model, a library is missing, or the difference is too large.
    """
    with _folder_beside(path) as folder:
        progress(f"writing {path.name}")
        file_format.write(job, folder / path.name)
        progress("comparing it with the eager model")
        try:
            report = _verify(file_format, job, folder / path.name, reference, progress)
        except UserError as error:
            advice = "; if the model is made for one size, try dynamic=false" if job.settings.dynamic else ""
            raise UserError(f"{path.name}: the file was not kept, because it cannot run: {error}{advice}") from error
        _judge(report, path, job, reference.tolerance)
        for part in sorted(folder.iterdir(), key=lambda part: part.name == path.name):  # the weights before the file
            os.replace(part, path.parent / part.name)
    return replace(report, path=path)


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path``; those that killed processes left for the same path are removed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{_ENDING}"):
        with suppress(OSError), _held(left):
            shutil.rmtree(left, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_ENDING, dir=path.parent))
    try:
        with ExitStack() as stack:
            with suppress(OSError):  # a file system without locks
                stack.enter_context(_held(folder))
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder, which ends with the process. OSError if another one holds it, or if the system has no locks."""
    if fcntl is None:
        raise OSError
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _verify(
    file_format: Format, job: Job, path: Path, reference: Reference, progress: Callable[[str], None]
) -> ExportReport:
    subject, settings = job.subject, job.settings
    channels, height, width = subject.config["input_size"]
    run = file_format.load(path, torch.get_num_threads())
    sizes = sizes_to_check((height, width), settings.dynamic, settings.batch_size, several=subject.batched)
    measured = differences(run, reference.run, sizes, channels, settings.pixels, subject.comparison)
    agreement, count = None, len(reference.pictures)
    if count:
        of_calls, agreements = [], []
        for images, pictures in reference.calls():
            ours, theirs = (
                _of_pictures(outputs, subject.outputs, pictures) for outputs in (run(images), reference.run(images))
            )
            of_calls.append(subject.comparison.difference(f"{count} pictures", ours, theirs))
            agreements.append((subject.comparison.agreement(ours, theirs), pictures))
        measured.append(worst(f"{count} pictures", of_calls))
        agreement = _mean(agreements)
    progress("timing both")
    shape = (settings.batch_size, channels, height, width)
    seconds, eager_seconds = latency(run, reference.run, shape, settings.pixels)
    size = sum(part.stat().st_size for part in path.parent.rglob("*") if part.is_file())
    nodes = file_format.count_nodes(path) if file_format.count_nodes is not None else None
    return ExportReport(
        path, size, nodes, measured, count, agreement, seconds, eager_seconds, subject.comparison.answer
    )


def _of_pictures(outputs: list[Array], axes: Outputs, pictures: int) -> list[Array]:
    """The outputs for the first ``pictures`` images of a call."""
    return [
        output[:pictures] if names.get(0) == "batch" else output
        for output, names in zip(outputs, axes.values(), strict=True)
    ]


def _mean(agreements: list[tuple[float, int]]) -> float:
    """The mean of shares with their weights, without those that are NaN; NaN if all are."""
    known = [(share, weight) for share, weight in agreements if not math.isnan(share)]
    return sum(s * w for s, w in known) / sum(w for _, w in known) if known else float("nan")


def _judge(report: ExportReport, path: Path, job: Job, tolerance: float) -> None:
    precision = job.settings.precision
    # Eight bits are calibrated for pictures, and noise leaves their ranges.
    pictures_only = precision.startswith("int8") and report.pictures
    for difference in report.differences[-1:] if pictures_only else report.differences:
        value = difference.scaled if precision == "fp32" else difference.relative
        if not value <= tolerance:
            raise UserError(
                f"{path.name}: the file was not kept, because it differs from the eager model by {value:.1e} on "
                f"{difference.what}, tolerance {tolerance:.1e}"
            )
