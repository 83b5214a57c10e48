"""``atmnet.export.export``: from a network to a checked file."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from atmnet.export.checked import Reference, write_checked
from atmnet.export.formats import find_format
from atmnet.export.frame import Framed, metadata
from atmnet.export.job import Job
from atmnet.export.kinds import TASK_EXPORTS
from atmnet.export.pictures import calibration_pictures, comparison_pictures
from atmnet.export.refusals import check_settings, check_subject
from atmnet.export.settings import ExportSettings
from atmnet.export.torch_file import on_arrays
from atmnet.export.verify import ExportReport, random_images
from atmnet.models.create import DataConfig, data_config
from atmnet.tasks import Classifier, DenseNetwork, Network
from atmnet_cli.errors import UserError
from atmnet_cli.output_paths import check_output_file


def export(
    network: Network,
    path: str | Path,
    settings: ExportSettings | None = None,
    progress: Callable[[str], None] | None = None,
) -> ExportReport:
    """Write a network as a file for another runtime, and compare that file with the eager model.

    The network is left unchanged. If the file differs by more than the tolerance, or anything fails, nothing is written
    to ``path``. The outputs of the file, for images that are already resized:

    - classifier: images (B, C, H, W) -> ``logits`` (B, K);
    - segmenter: images (B, 3, H, W) -> ``logits`` (B, K, H, W);
    - detector: an image (1, 3, H, W) -> ``boxes`` (D, 4), x0 y0 x1 y1 in its pixels, ``scores`` (D,), ``labels`` (D,)
      from 0, and for some detectors ``masks`` (D, 1, M, M) in 0..1, each for its box. The best objects come first. If
      there are fewer than D objects, the other scores are 0;
    - detector of one stage with ``raw``: images (B, 3, H, W) -> ``class_logits`` (B, N, K), ``box_regression``
      (B, N, 4), for FCOS ``centerness_logits`` (B, N, 1), and ``anchors`` (N, 4) in pixels.

    Args:
        network: A network, such as :func:`atmnet.tasks.load_network` returns.
        path: File to write; its ending must be that of the format.
        settings: Default: ONNX with open sizes.
        progress: Called with what begins: preparing, writing, comparing, timing. Default: nothing is called.

    Returns:
        What was written, how it differs from the model, and how fast it is.

    Raises:
        UserError: For settings that the format or the network does not take, a missing library, broken pictures, or
            a file that differs from the model by more than the tolerance.

    Examples:
        >>> settings = ExportSettings(pixels="uint8", dynamic=False)
        >>> report = export(load_network("runs/demo"), "demo.onnx", settings)  # doctest: +SKIP
        >>> report.largest  # the largest difference from the eager model  # doctest: +SKIP
        3.1e-06
    """
    path, settings = Path(path), settings or ExportSettings()
    file_format, task = find_format(settings.to), TASK_EXPORTS[network.kind]
    settings = replace(settings, dynamic=settings.dynamic and file_format.dynamic)
    check_output_file(path, "output", [file_format.suffix])
    check_settings(settings, file_format, task, network)
    subject = task.describe(network, settings)
    check_subject(settings, file_format, subject, network)
    progress = progress or (lambda stage: None)
    progress("preparing the network and pictures")
    pictures = comparison_pictures(settings, subject, task.pictures, network.range)
    calibration = calibration_pictures(settings, subject, network.range)
    eager = subject.reference(copy.deepcopy(network.model).cpu().float().eval())
    run = on_arrays(Framed(eager, subject.config, settings.pixels))
    if subject.check is not None:
        subject.check(run(random_images((1, *subject.config["input_size"]), settings.pixels).numpy()))
    facts = metadata(network, subject.config, settings.pixels)
    job = Job(network.model, subject, settings, facts, np.stack(calibration) if calibration else None)
    tolerance = task.tolerances[settings.precision] if settings.tolerance is None else settings.tolerance
    per_call = task.pictures_per_call if settings.dynamic else settings.batch_size
    reference = Reference(run, pictures, per_call, tolerance)
    return write_checked(file_format, job, path, reference, progress)


def export_model(
    model: nn.Module,
    path: str | Path,
    *,
    classes: Sequence[str] | None = None,
    config: DataConfig | None = None,
    **settings: Any,
) -> ExportReport:
    """Write a model of timm as :func:`export` writes a network.

    Args:
        model: An ATMNet, or any timm model that takes images (B, C, H, W) and returns logits (B, K).
        path: File to write.
        classes: Names of the K classes. Default: their numbers.
        config: timm's data configuration. Default: the model's.
        settings: See :class:`ExportSettings`.

    Returns:
        What was written, how it differs from the model, and how fast it is.

    Raises:
        UserError: As for :func:`export`.

    Examples:
        >>> model = timm.create_model("atmnet_nano", pretrained=True)  # doctest: +SKIP
        >>> export_model(model, "digits.onnx", precision="int8-dynamic").agreement  # doctest: +SKIP
        1.0
    """
    return export(_classifier(model, classes, config), path, ExportSettings(**settings))


def export_dense(network: DenseNetwork, path: str | Path, **settings: Any) -> ExportReport:
    """:func:`export` of a segmenter or detector; see :class:`ExportSettings` for the settings."""
    return export(network, path, ExportSettings(**settings))


def _classifier(model: nn.Module, classes: Sequence[str] | None, config: DataConfig | None) -> Classifier:
    if classes is None:
        num_classes: Any = getattr(model, "num_classes", None)
        if num_classes is None:
            raise UserError(f"classes: {type(model).__name__} does not tell its num_classes; name the classes")
        classes = [str(k) for k in range(num_classes)]
    return Classifier(model, list(classes), config or data_config(model))
