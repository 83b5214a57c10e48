"""``atmnet.export.export_model``: from a model to a checked file."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from torch import nn

from atmnet.data import image_mode
from atmnet.export.checked import Call, find_format, write_checked
from atmnet.export.frame import Framed, Pixels, architecture_of, metadata, random_images
from atmnet.export.job import Job
from atmnet.export.pictures import calibration_pictures, pictures
from atmnet.export.torch_file import on_arrays
from atmnet.export.verify import CLASSES, ExportReport
from atmnet.models.create import data_config
from atmnet_cli.errors import UserError
from atmnet_runtime import preprocess

Precision = Literal["fp32", "fp16", "int8", "int8-dynamic"]

#: Pictures in a call of the comparison, where the file leaves that open.
_AT_ONCE = 8


def export_model(
    model: nn.Module,
    path: str | Path,
    *,
    to: str = "onnx",
    classes: Sequence[str] | None = None,
    config: Any = None,
    dynamic: bool = True,
    batch_size: int = 1,
    pixels: Pixels = "normalised",
    precision: Precision = "fp32",
    calibration: str = "",
    images: str = "",
    tolerance: float | None = None,
) -> ExportReport:
    """Write an image classifier as a file for another runtime, and hold that file to the eager model.

    The model is left as it is. Where the file differs too much, or anything fails, none is written to ``path``.

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
            bring along; none for other than 1 or 3 channels, where noise has to do.
        tolerance: Largest difference to let pass; default: :data:`atmnet.export.TOLERANCE`.

    Raises:
        UserError: For what the format cannot say, a missing library, too large a difference, or broken pictures.
    """
    path = Path(path)
    form = find_format(to, path, precision)
    config = data_config(model, None) if config is None else config
    frame = {**config, "pixels": pixels}
    shown = _shown(images, calibration, frame)
    eager = on_arrays(Framed(copy.deepcopy(model).cpu().float().eval(), config, pixels))
    logits, *more = eager(random_images((1, *config["input_size"]), pixels).numpy())
    if logits.ndim != 2 or more:
        shapes = ", ".join(str(output.shape) for output in (logits, *more))
        raise UserError(f"model: expected a classifier with one output (B, K), got {shapes}")
    names = [str(k) for k in range(logits.shape[1])] if classes is None else list(classes)
    if len(names) != logits.shape[1]:
        raise UserError(f"classes: got {len(names)} names, the model has {logits.shape[1]} outputs")
    job = Job(
        model=model, config=config, pixels=pixels, precision=precision, dynamic=dynamic and form.dynamic,
        batch_size=batch_size,
        metadata=metadata("classification", architecture_of(model), names, config, pixels),
        calibration=_calibration(calibration, precision, frame),
    )  # fmt: skip
    calls = _calls(shown, _AT_ONCE if job.dynamic else batch_size)
    return write_checked(form, job, path, eager, calls, CLASSES, tolerance)


def _shown(images: str, calibration: str, frame: Any) -> list[np.ndarray]:
    """Pictures to compare on; none unless asked for where the model takes other channels than pictures have."""
    try:
        image_mode(frame)
    except UserError:
        if images or calibration:
            raise
        return []
    return _arrays(pictures(images or calibration, option="images" if images else "calibration"), frame)


def _calibration(folder: str, precision: str, frame: dict[str, Any]) -> np.ndarray | None:
    found = calibration_pictures(folder, precision)
    return np.stack(_arrays(found, frame)) if found else None


def _arrays(images: Sequence[Image.Image], frame: dict[str, Any]) -> list[np.ndarray]:
    return [preprocess(image, frame) for image in images]


def _calls(shown: Sequence[np.ndarray], size: int) -> list[Call]:
    """All pictures, ``size`` at a time; the last are filled up by repetition."""
    parts = [shown[start : start + size] for start in range(0, len(shown), size)]
    return [Call(np.stack([*part, *[part[-1]] * (size - len(part))]), len(part)) for part in parts]
