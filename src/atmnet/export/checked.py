"""Write a file beside its place, hold it to the eager model, and only then move it there.

Shapes: B images, C colour channels, H x W pixels.
"""

import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from atmnet.export.formats import FORMATS, Format
from atmnet.export.job import Job
from atmnet.export.verify import Comparison, ExportReport, Run, differences, latency, sizes_to_check, worst
from atmnet_cli.errors import UserError

#: Largest difference from eager that is let pass: of fp32 the largest over the largest logit (or 1), else of norms.
TOLERANCE: dict[str, float] = {"fp32": 5e-6, "fp16": 1e-2, "int8": 0.15, "int8-dynamic": 0.15}


class Call(NamedTuple):
    """Pictures to compare on.

    Attributes:
        images: (B, C, H, W), as the file takes them.
        pictures: How many of them are pictures; the others fill up.
    """

    images: np.ndarray
    pictures: int

    def of(self, run: Run) -> list[np.ndarray]:
        """What ``run`` says to the pictures. Of one picture all outputs, whichever axes they have."""
        outputs = run(self.images)
        return [part[: self.pictures] for part in outputs] if self.pictures > 1 else outputs


def find_format(to: str, path: Path, precision: str) -> Format:
    """The format ``to``, once it is sure that it can be written to ``path``.

    Raises:
        UserError: For an unknown format, an ending or precision that is not the format's, or a missing folder.
    """
    if to == "coreml":
        raise UserError(
            "to: Core ML runs on Apple's systems alone, so that a file could not be held to the model here; write "
            "--to torch and convert the program there: pip install coremltools"
        )
    if to not in FORMATS:
        raise UserError(f"to: got {to!r}, expected one of {', '.join(FORMATS)}")
    form = FORMATS[to]
    if path.suffix != form.suffix:
        raise UserError(f"output: {path}: expected an ending of {form.suffix}")
    if not path.parent.is_dir():
        raise UserError(f"output: {path.parent}: no such folder")
    if precision not in form.precisions:
        raise UserError(f"precision: got {precision!r}, {to} is written in {' or '.join(form.precisions)}")
    return form


def write_checked(
    form: Format,
    job: Job,
    path: Path,
    eager: Run,
    calls: Sequence[Call],
    comparison: Comparison,
    tolerance: float | None,
) -> ExportReport:
    """Write ``path`` and say how it compares with ``eager``.

    Args:
        form: The format.
        job: What to write.
        path: The file. Where anything fails, what was there stays.
        eager: The eager model.
        calls: Pictures to compare on.
        comparison: How.
        tolerance: Largest difference to let pass; default: :data:`TOLERANCE`.

    Raises:
        UserError: For what the format cannot say, a missing library, or too large a difference.
    """
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        form.write(job, beside / path.name)
        try:
            report = _verify(form, job, beside / path.name, eager, calls, comparison)
        except UserError as error:
            advice = "; for a model of one size, --dynamic=false" if job.dynamic else ""
            raise UserError(f"{path.name}: not kept{advice}: {error}") from error
        _judge(report, path, job.precision, TOLERANCE[job.precision] if tolerance is None else tolerance)
        for part in sorted(beside.iterdir(), key=lambda part: part.name == path.name):  # what it needs before itself
            os.replace(part, path.parent / part.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return replace(report, path=path)


def _verify(
    form: Format, job: Job, path: Path, eager: Run, calls: Sequence[Call], comparison: Comparison
) -> ExportReport:
    channels, height, width = job.config["input_size"]
    run = form.load(path, torch.get_num_threads())
    sizes = sizes_to_check((height, width), job.dynamic, job.batch_size, several=job.traced[0] > 1)
    found = differences(run, eager, sizes, channels, job.pixels, comparison)
    agreement, pictures = None, sum(call.pictures for call in calls)
    if calls:
        answers = [(call.of(run), call.of(eager)) for call in calls]
        each = [comparison.difference(f"{pictures} pictures", *pair) for pair in answers]
        found.append(worst(f"{pictures} pictures", each))
        shares = [(comparison.agreement(*pair), call.pictures) for call, pair in zip(calls, answers, strict=True)]
        told = [(share, weight) for share, weight in shares if not math.isnan(share)]
        agreement = sum(s * w for s, w in told) / sum(w for _, w in told) if told else float("nan")
    seconds, eager_seconds = latency(run, eager, (job.batch_size, channels, height, width), job.pixels)
    size = sum(part.stat().st_size for part in path.parent.rglob("*") if part.is_file())
    nodes = form.nodes(path) if form.nodes is not None else None
    return ExportReport(path, size, nodes, found, pictures, agreement, seconds, eager_seconds, comparison.answer)


def _judge(report: ExportReport, path: Path, precision: str, tolerance: float) -> None:
    # Eight bits are made for pictures: noise leaves the ranges that these have.
    judged = report.differences[-1:] if precision.startswith("int8") and report.pictures else report.differences
    for found in judged:
        value = found.scaled if precision == "fp32" else found.relative
        if not value <= tolerance:
            raise UserError(
                f"{path.name}: not kept: on {found.what} it differs from the eager model by {value:.1e}, "
                f"tolerance {tolerance:.1e}"
            )
