"""``atmnet.export.export_model``: from a model to a checked file."""

import copy
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import nn

from atmnet.export.formats import FORMATS
from atmnet.export.frame import Framed, Pixels, metadata
from atmnet.export.job import Job
from atmnet.export.pictures import pictures
from atmnet.export.verify import ExportReport, difference, differences, latency, sizes_to_check
from atmnet.tasks.classifier import data_config
from atmnet_options import UserError
from atmnet_runtime import in_batches, preprocess

Precision = Literal["fp32", "fp16", "int8", "int8-dynamic"]

#: Largest difference from eager that is let pass: of fp32 the largest over the largest logit (or 1), else of norms.
TOLERANCE: dict[str, float] = {"fp32": 5e-6, "fp16": 1e-2, "int8": 0.15, "int8-dynamic": 0.15}
#: Pictures in a call of the comparison, where the file leaves that open.
_AT_ONCE = 8


def export_model(
    model: nn.Module,
    path: str | Path,
    *,
    to: str = "onnx",
    classes: Sequence[str] | None = None,
    config: dict[str, Any] | None = None,
    dynamic: bool = True,
    batch_size: int = 1,
    pixels: Pixels = "normalised",
    precision: Precision = "fp32",
    calibration: str = "",
    images: str = "",
    tolerance: float | None = None,
) -> ExportReport:
    """Write an image classifier as a file for another runtime, and hold that file to the eager model.

    The model is left as it is. Where the file differs too much, or anything fails, none is left under ``path``.

    Args:
        model: An ATMNet, or any timm model that takes images (B, C, H, W) and gives logits (B, K).
        path: File to write.
        to: 'onnx', 'openvino' (IR), 'torch' (torch.export), 'aoti' (AOTInductor), 'executorch' or 'coreml'.
        classes: Names of the K classes; default: their numbers.
        config: timm's data configuration; default: the model's. Its ``input_size`` is the file's where that is fixed.
        dynamic: Leave batch, height and width open, in ONNX and OpenVINO.
        batch_size: Images in a call, where that is fixed.
        pixels: What the file takes: floats already normalised, floats in 0..1 ('unit'), or 'uint8'.
        precision: Of weights and products. 'int8' needs pictures to calibrate on.
        calibration: Folder of pictures like those that the model is for.
        images: Folder of pictures to compare on. Default: those to calibrate on, else what scikit-image or scikit-learn
            bring along.
        tolerance: Largest difference to let pass; default: :data:`TOLERANCE`.

    Raises:
        UserError: For what the format cannot say, a missing library, too large a difference, or broken pictures.
    """
    path = Path(path)
    if to not in FORMATS:
        raise UserError(f"to: got {to!r}, expected one of {', '.join(FORMATS)}")
    form = FORMATS[to]
    if path.suffix != form.suffix:
        raise UserError(f"output: {path}: expected an ending of {form.suffix}")
    if not path.parent.is_dir():
        raise UserError(f"output: {path.parent}: no such folder")
    if precision not in form.precisions:
        raise UserError(f"precision: got {precision!r}, {to} is written in {' or '.join(form.precisions)}")
    config = data_config(model, None) if config is None else config
    frame = {**config, "pixels": pixels}
    shown = _arrays(pictures(images or calibration, option="images" if images else "calibration"), frame)
    eager = Framed(copy.deepcopy(model).cpu().float().eval(), config, pixels)
    with torch.inference_mode():
        outputs = _classes_of(eager, config, pixels)
    names = [str(k) for k in range(outputs)] if classes is None else list(classes)
    if len(names) != outputs:
        raise UserError(f"classes: got {len(names)} names, the model has {outputs} outputs")
    job = Job(
        model=model, config=config, pixels=pixels, precision=precision, dynamic=dynamic and form.dynamic,
        batch_size=batch_size, metadata=metadata(model, names, config, pixels),
        calibration=_calibration(calibration, precision, frame),
    )  # fmt: skip
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        form.write(job, beside / path.name)
        try:
            report = _verify(form, job, beside / path.name, eager, shown)
        except UserError as error:
            advice = "; for a model of one size, --dynamic=false" if job.dynamic else ""
            raise UserError(f"{path.name}: not kept{advice}: {error}") from error
        _judge(report, path, precision, TOLERANCE[precision] if tolerance is None else tolerance)
        for part in sorted(beside.iterdir(), key=lambda part: part.name == path.name):  # what it needs before itself
            os.replace(part, path.parent / part.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return ExportReport(**{**vars(report), "path": path})


def _classes_of(eager: nn.Module, config: dict[str, Any], pixels: Pixels) -> int:
    channels, height, width = config["input_size"]
    dtype = torch.uint8 if pixels == "uint8" else torch.float32
    out = eager(torch.zeros(1, channels, height, width, dtype=dtype))
    if out.dim() != 2:
        raise UserError(f"model: expected a classifier with outputs (B, K), got outputs of shape {tuple(out.shape)}")
    return out.shape[1]


def _calibration(folder: str, precision: str, frame: dict[str, Any]) -> np.ndarray | None:
    if precision != "int8":
        return None
    if not folder:
        raise UserError("calibration: precision int8 needs a folder of pictures like those that the model is for")
    return _arrays(pictures(folder, 128, "calibration"), frame)


def _arrays(images: Sequence[Image.Image], frame: dict[str, Any]) -> np.ndarray | None:
    return np.stack([preprocess(image, frame) for image in images]) if images else None


def _verify(form: Any, job: Job, path: Path, eager: nn.Module, shown: np.ndarray | None) -> ExportReport:
    channels, *side = job.config["input_size"]
    run = form.load(path, torch.get_num_threads())
    found = differences(
        run, eager, sizes_to_check((side[0], side[1]), job.dynamic, job.batch_size), channels, job.pixels
    )
    agreement = None
    if shown is not None:
        at_once = _AT_ONCE if job.dynamic else job.batch_size
        with torch.inference_mode():
            theirs = in_batches(lambda part: eager(torch.from_numpy(part)).numpy(), shown, at_once)
        ours = in_batches(run, shown, at_once)
        found.append(difference(f"{len(shown)} pictures", ours, theirs))
        agreement = float((ours.argmax(1) == theirs.argmax(1)).mean())
    seconds, eager_seconds = latency(run, eager, (job.batch_size, channels, *side), job.pixels)
    size = sum(part.stat().st_size for part in path.parent.rglob("*") if part.is_file())
    nodes = form.nodes(path) if form.nodes is not None else None
    return ExportReport(path, size, nodes, found, 0 if shown is None else len(shown), agreement, seconds, eager_seconds)


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
