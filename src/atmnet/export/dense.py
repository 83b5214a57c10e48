"""``atmnet.export.export_dense``: from a segmenter or detector to a checked file.

Shapes: B images, K classes, H x W pixels, N anchors, D detections.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from atmnet.data.dense_transforms import LONGEST, DetectionEval, SegmentationEval
from atmnet.data.targets import no_objects
from atmnet.export.checked import TOLERANCE, Call, find_format, write_checked
from atmnet.export.detectors import form_of
from atmnet.export.frame import Framed, Pixels, metadata
from atmnet.export.job import Job, Outputs, as_it_is
from atmnet.export.pictures import calibration_pictures, pictures
from atmnet.export.torch_file import on_arrays
from atmnet.export.verify import Comparison, ExportReport, farthest, same_classes
from atmnet.tasks.dense import DenseNetwork
from atmnet_cli.errors import UserError

#: Largest difference that is let pass, as for classifiers; heads add rounding of their own, most where a level is but a
#: few tokens that are normalised among themselves.
DENSE_TOLERANCE = {**TOLERANCE, "fp32": 5e-5, "fp16": 2e-2}
#: Pictures to compare on: they are large.
_MOST = 6
_PIXELS = Comparison(farthest, same_classes, "class at {share} of the pixels of {count} pictures")


def export_dense(
    network: DenseNetwork,
    path: str | Path,
    *,
    to: str = "onnx",
    raw: bool = False,
    dynamic: bool = True,
    batch_size: int = 1,
    img_size: int | None = None,
    pixels: Pixels = "normalised",
    precision: str = "fp32",
    calibration: str = "",
    images: str = "",
    tolerance: float | None = None,
) -> ExportReport:
    """Write a segmenter or detector as a file for another runtime, and hold that file to the eager model.

    The network is left as it is. Where the file differs too much, or anything fails, none is written to ``path``.
    What the file gives, for images that are resized already:

    - of a segmenter: images (B, 3, H, W) -> ``logits`` (B, K, H, W);
    - of a detector: an image (1, 3, H, W) -> ``boxes`` (D, 4), x0 y0 x1 y1 in its pixels, ``scores`` (D,), ``labels``
      (D,) from 0 and of some ``masks`` (D, 1, M, M) in 0..1, each for its box. The best come first; where there are
      fewer than D objects, the others' scores are 0;
    - with ``raw``: images (B, 3, H, W) -> ``class_logits`` (B, N, K), ``box_regression`` (B, N, 4), of FCOS
      ``centerness_logits`` (B, N, 1), and ``anchors`` (N, 4) in pixels.

    Args:
        network: As :func:`atmnet.tasks.dense.load_dense` gives it.
        path: File to write.
        to: 'onnx' or 'openvino' (IR); all but whole detectors 'torch' (torch.export) and 'aoti' (AOTInductor), too.
        raw: Of RetinaNet and FCOS what the heads say, in place of objects.
        dynamic: Leave height and width open, and the batch but of whole detectors, in ONNX and OpenVINO.
        batch_size: Images in a call, where that is fixed.
        img_size: Side of the square images, in pixels, where that is fixed; and of those to compare on. Default: that
            of crops in a segmenter's training, the shorter side in a detector's evaluation.
        pixels: What the file takes: floats already normalised, floats in 0..1 ('unit'), or 'uint8'.
        precision: Of weights and products: 'fp32', of segmenters also 'fp16', 'int8' and 'int8-dynamic'. 'int8' needs
            pictures to calibrate on, which are made as large as those that the file is for, at ``img_size``.
        calibration: Folder of pictures like those that the network is for.
        images: Folder of pictures to compare on; six of them. Default: those to calibrate on, else what scikit-image or
            scikit-learn bring along.
        tolerance: Largest difference to let pass; default: :data:`atmnet.export.DENSE_TOLERANCE`.

    Raises:
        UserError: For what the format cannot say, a missing library, too large a difference, or broken pictures.
    """
    path = Path(path)
    form = find_format(to, path, precision)
    kind, head = network.kind, network.options.head
    known = form.precisions if kind == "segmentation" else ("fp32",)
    if precision not in known:
        raise UserError(f"precision: got {precision!r}, {kind} networks are written in {' or '.join(known)}")
    if raw and kind == "segmentation":
        raise UserError("raw: of detectors; what a segmenter says is raw")
    dynamic = dynamic and form.dynamic
    subject = _segmenter(network, img_size) if kind == "segmentation" else _detector(network, img_size, raw)
    if subject.traced[0] == 1 and (batch_size > 1 or not form.dynamic):
        raise UserError(
            f"{'batch_size' if form.dynamic else 'to'}: {head} whole is written for one image at a time, as ONNX or "
            "OpenVINO"
        )
    job = Job(
        model=network.model, config=subject.config, pixels=pixels, precision=precision, dynamic=dynamic,
        batch_size=batch_size, calibration=_calibration(calibration, precision, subject, pixels), form=subject.plain,
        outputs=subject.outputs, traced=subject.traced,
        metadata=metadata(kind, f"{network.options.name} {head}", network.classes, subject.config, pixels),
    )  # fmt: skip
    eager = on_arrays(Framed(subject.eager(copy.deepcopy(network.model).cpu().float().eval()), subject.config, pixels))
    batch = 1 if dynamic else batch_size
    option = "images" if images else "calibration"
    shown = [
        _taken(image, subject, pixels, dynamic) for image in pictures(images or calibration, _MOST, option)[:_MOST]
    ]
    calls = [Call(np.repeat(image[None], batch, 0), 1) for image in shown]
    bound = DENSE_TOLERANCE[precision] if tolerance is None else tolerance
    return write_checked(form, job, path, eager, calls, subject.comparison, bound)


class _Subject(NamedTuple):
    """What differs between tasks: as of :class:`atmnet.export.detectors.Form`, and how pictures come in."""

    plain: Callable[[Any], nn.Module]
    eager: Callable[[Any], nn.Module]
    outputs: Outputs
    comparison: Comparison
    traced: tuple[int, int, int]
    config: dict[str, Any]
    #: A picture, and mean and std to normalise it by -> (3, H, W), resized.
    prepare: Callable[[Image.Image, Any, Any], Tensor]


def _segmenter(network: DenseNetwork, img_size: int | None) -> _Subject:
    side = img_size or network.dense.crop_size
    config = _config(network, False, side, side, LONGEST * side)

    def prepare(image: Image.Image, mean: Any, std: Any) -> Tensor:
        return SegmentationEval(side, mean, std)(image, torch.empty(0))[0]

    outputs = {"logits": {0: "batch", 2: "height", 3: "width"}}
    return _Subject(as_it_is, as_it_is, outputs, _PIXELS, (2, 96, 128), config, prepare)


def _detector(network: DenseNetwork, img_size: int | None, raw: bool) -> _Subject:
    shorter_trained = network.dense.img_sizes[-1]
    shorter = img_size or shorter_trained
    longest = (
        network.dense.max_img_size
        if img_size is None
        else round(img_size * network.dense.max_img_size / shorter_trained)
    )
    config = _config(network, raw, shorter, shorter, longest)
    transform: Any = copy.deepcopy(network.model.transform)
    transform.min_size, transform.max_size = (shorter,), longest

    def prepare(image: Image.Image, mean: Any, std: Any) -> Tensor:
        values, _ = DetectionEval()(image, no_objects(image.height, image.width))
        transform.image_mean, transform.image_std = mean, std
        return transform.resize(transform.normalize(values))[0]

    return _Subject(*form_of(network.options.head, raw), config, prepare)


def _config(network: DenseNetwork, raw: bool, side: int, shorter: int, longest: int) -> dict[str, Any]:
    return {
        "input_size": (3, side, side), "mean": network.config["mean"], "std": network.config["std"],
        "shorter": shorter, "longest": longest, "head": network.options.head, "raw": raw,
        "category_ids": network.category_ids,
    }  # fmt: skip


def _calibration(folder: str, precision: str, subject: _Subject, pixels: Pixels) -> np.ndarray | None:
    found = calibration_pictures(folder, precision)
    return np.stack([_taken(image, subject, pixels, False) for image in found]) if found else None


def _taken(image: Image.Image, subject: _Subject, pixels: Pixels, dynamic: bool) -> np.ndarray:
    """A picture as the file takes it: (3, H, W)."""
    config = subject.config
    if not dynamic:
        _, height, width = config["input_size"]
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    mean, std = (config["mean"], config["std"]) if pixels == "normalised" else ((0.0,) * 3, (1.0,) * 3)
    values = subject.prepare(image, mean, std).numpy()
    return (255 * values).round().astype(np.uint8) if pixels == "uint8" else values
