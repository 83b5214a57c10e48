"""Run exported files with NumPy, Pillow, and ONNX Runtime or OpenVINO, without torch and without atmnet.

This module is one file, so that you can copy it next to an exported file and deploy both.

Shapes: N images, C colour channels, H x W pixels, K classes.
"""

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = [
    "ExportedClassifier",
    "ExportedDetector",
    "ExportedFile",
    "ExportedSegmenter",
    "FileError",
    "Objects",
    "UnreadableImage",
    "open_classifier",
    "open_detector",
    "open_segmenter",
    "preprocess",
    "read_picture",
]

_COMMON = ("classes", "input_size", "mean", "std", "pixels", "range")
_RESIZING = ("interpolation", "crop_pct", "crop_mode")
#: The metadata of the files of each kind, as strings of JSON; see docs/deploy.md.
KEYS = {
    "classification": (*_COMMON, *_RESIZING, "calibration_temperature"),
    "multilabel": (*_COMMON, *_RESIZING, "calibration_temperature"),
    "segmentation": (*_COMMON, "shorter", "longest", "head"),
    "detection": (*_COMMON, "shorter", "longest", "head", "raw", "category_ids"),
}
_EVERY_KEY = {"task", *(key for keys in KEYS.values() for key in keys)}

#: The formats of pictures that are read. Pillow knows more, and for some of them it starts other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
#: Upper limit of a picture's side in pixels, which is also JPEG's.
LONGEST_SIDE = 65_535
#: In the ``info`` of a picture that was read as nearly black, since it uses few of its 16 bits: its highest value.
DARK = "atmnet_highest_value"
#: Pillow's modes of more than 8 bits.
_DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
#: Pixels of a resized picture from which on only the part that the crop keeps is resized.
_LARGEST = 2**24

Array = NDArray[Any]
#: A file with a picture, or one that Pillow has opened.
Picture = str | Path | IO[bytes] | Image.Image


class UnreadableImage(Exception):
    """A picture that cannot be read; the message, which is one line, says why."""


class FileError(ValueError):
    """An exported file cannot be opened, or cannot run on its input. The message is one line."""


class ExportedFile:
    """A network in a file, with its class names and preprocessing.

    Args:
        path: The file: .onnx, or .xml of OpenVINO with its .bin next to it.
        threads: CPU threads. Default: the runtime's choice.
        precision: What OpenVINO computes in: 'f32', or 'bf16', which is faster and less exact on processors that have
            it. ONNX Runtime computes as the file says.

    Attributes:
        path: The file.
        kind: 'classification', 'multilabel' (sets of labels), 'segmentation' or 'detection'. ``task`` is the same.
        classes: Names of the K classes.
        config: Preprocessing: input_size (C, H, W), mean, std, pixels and range (see :func:`read_picture`). Classifiers
            also have interpolation, crop_pct, crop_mode and calibration_temperature, by which logits are divided for
            calibrated probabilities, the others shorter, longest and head, and detectors raw and
            category_ids, COCO's numbers of the classes.
        shape: The shape that the file takes, (N, C, H, W); None where any size will do.

    Raises:
        FileError: If the file has another ending, is damaged or was not written by ``atmnet export``, or if its runtime
            is not installed.

    Examples:
        >>> file = ExportedFile("model.onnx")  # doctest: +SKIP
        >>> file.kind, file.shape  # doctest: +SKIP
        ('classification', [None, 3, None, None])
        >>> file.logits(np.zeros((2, 3, 224, 224), np.float32)).shape  # doctest: +SKIP
        (2, 1000)
    """

    def __init__(self, path: str | Path, threads: int | None = None, precision: str = "f32") -> None:
        self.path = Path(path)
        opener = _OPENERS.get(self.path.suffix)
        if opener is None:
            raise FileError(f"{path}: expected a file that ends in {' or '.join(_OPENERS)}")
        if not self.path.is_file():
            raise FileError(f"{path}: no such file")
        self._run, metadata, self.shape = opener(self.path, threads, precision)
        self.kind, values = _read_metadata(path, metadata)
        self.task = self.kind
        self.config: dict[str, Any] = {key: values[key] for key in KEYS[self.kind] if key != "classes"}
        self.classes: list[str] = values["classes"]
        allowed = (range(1, 2**16), [self.config["input_size"][0]], *[range(1, _MAX_SIDE + 1)] * 2)
        if len(self.shape) != 4 or any(
            n is not None and n not in sizes for n, sizes in zip(self.shape, allowed, strict=True)
        ):
            raise FileError(f"{path}: takes images of {self.shape}, which its metadata do not fit; export it again")

    def outputs(self, batch: Array) -> list[Array]:
        """Images (N, C, H, W) as the file takes them -> all outputs of the file.

        Raises:
            FileError: If the file takes images of another size or type.
        """
        dtype = "uint8" if self.config["pixels"] == "uint8" else "float32"
        if not isinstance(batch, np.ndarray) or batch.ndim != 4 or batch.dtype != dtype or len(batch) == 0:
            got = f"{batch.dtype} {batch.shape}" if isinstance(batch, np.ndarray) else type(batch).__name__
            raise FileError(f"{self.path}: got {got}, expected an array of {dtype} (N, C, H, W) with N at least 1")
        for axis, name in enumerate(("images", "channels", "height", "width")):
            fixed = self.shape[axis]
            if fixed is not None and batch.shape[axis] != fixed:
                raise FileError(f"{self.path}: got {name} {batch.shape[axis]}, the file takes only {fixed}")
        try:
            outputs = self._run(batch)
        except Exception as error:  # the runtimes' classes of errors have no other common base
            raise FileError(f"{self.path}: cannot run on images {batch.shape}: {_reason(error)}") from error
        if not self._are_expected(outputs, len(batch)):
            shapes = ", ".join(str(np.shape(output)) for output in outputs)
            raise FileError(
                f"{self.path}: got outputs of {shapes}, not those of {self.kind} with {len(self.classes)} classes; "
                "export it again"
            )
        return outputs

    def _are_expected(self, outputs: list[Array], images: int) -> bool:
        """Whether outputs are those of the file's kind, for its number of classes."""
        if not outputs or not all(isinstance(output, np.ndarray) for output in outputs):
            return False
        if self.kind != "detection":
            rank = 4 if self.kind == "segmentation" else 2
            return outputs[0].ndim == rank and outputs[0].shape[:2] == (images, len(self.classes))
        if self.config["raw"]:
            return True
        ranks = [output.ndim for output in outputs]
        if ranks not in ([2, 1, 1], [2, 1, 1, 4]) or len({len(output) for output in outputs}) > 1:
            return False
        labels = outputs[2][outputs[1] > 0]
        return outputs[0].shape[1] == 4 and bool(((labels >= 0) & (labels < len(self.classes))).all())

    def logits(self, batch: Array) -> Array:
        """Images (N, C, H, W) as the file takes them -> (N, K), or (N, K, H, W) for segmenters, float32.

        If the file takes a fixed number of images, it runs on that many at a time.

        Raises:
            FileError: See :meth:`outputs`.
        """
        return in_batches(lambda part: self.outputs(part)[0], batch, self.shape[0] or max(1, len(batch)))


class ExportedClassifier(ExportedFile):
    """An :class:`ExportedFile` of a classifier, which also takes pictures.

    Args:
        path: The file: .onnx, or .xml of OpenVINO with its .bin next to it.
        threads: CPU threads. Default: the runtime's choice.
        precision: What OpenVINO computes in, 'f32' or 'bf16'; see :class:`ExportedFile`.

    Raises:
        FileError: If the file cannot be opened, or is for another kind of network.

    Examples:
        >>> classifier = open_classifier("digits.onnx")  # doctest: +SKIP
        >>> probabilities = classifier(["a.png", "b.png"])  # (2, K)  # doctest: +SKIP
        >>> classifier.classes[probabilities[0].argmax()]  # doctest: +SKIP
        '7'
    """

    def __init__(self, path: str | Path, threads: int | None = None, precision: str = "f32") -> None:
        super().__init__(path, threads, precision)
        if self.kind not in ("classification", "multilabel"):
            raise FileError(f"{path}: got a file for {self.kind}, expected one for classification; use ExportedFile")

    def __call__(self, images: Sequence[Picture]) -> Array:
        """Pictures, or files of pictures -> probabilities (N, K). It raises :class:`UnreadableImage`.

        The probabilities of a picture sum to 1; those of a file of kind 'multilabel' are independent of each other.
        """
        logits = self.logits(np.stack([preprocess(image, self.config) for image in images])).astype(np.float64)
        logits /= self.config["calibration_temperature"]
        if self.kind == "multilabel":
            return np.asarray(np.exp(-np.logaddexp(0, -logits)))
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)


class Objects(NamedTuple):
    """The objects of a picture, the best first.

    Attributes:
        boxes: (D, 4) as x0 y0 x1 y1 in pixels of the picture, turned upright.
        scores: (D,), 0 to 1.
        labels: (D,), which count the file's classes from 0.
        masks: (D, H, W) of bool, or None if the detector has no masks.
    """

    boxes: Array
    scores: Array
    labels: Array
    masks: Array | None


class ExportedDetector(ExportedFile):
    """An :class:`ExportedFile` of a detector, which takes pictures. Files of raw outputs are refused.

    Args:
        path: The file: .onnx, or .xml of OpenVINO with its .bin next to it.
        threads: CPU threads. Default: the runtime's choice.
        precision: What OpenVINO computes in, 'f32' or 'bf16'; see :class:`ExportedFile`.

    Raises:
        FileError: If the file cannot be opened, or is for another kind of network.

    Examples:
        >>> detector = open_detector("detector.onnx")  # doctest: +SKIP
        >>> objects = detector("a.jpg", threshold=0.5)  # doctest: +SKIP
        >>> [detector.classes[label] for label in objects.labels]  # doctest: +SKIP
        ['cat', 'dog']
    """

    def __init__(self, path: str | Path, threads: int | None = None, precision: str = "f32") -> None:
        super().__init__(path, threads, precision)
        if self.kind != "detection":
            raise FileError(f"{path}: got a file for {self.kind}, expected one for detection")
        if self.config["raw"]:
            raise FileError(f"{path}: contains raw outputs of a detector rather than objects; export it without --raw")

    def __call__(self, image: Picture, threshold: float = 0.5) -> Objects:
        """A picture, or a file of one -> its objects with at least this score. It raises :class:`UnreadableImage`."""
        picture = read_picture(image, "RGB", self.config["range"])
        sides = picture.height, picture.width
        fixed: Any = self.shape[2:] if None not in self.shape[2:] else None
        shorter, longest = (fixed[0], fixed[0]) if fixed else (self.config["shorter"], self.config["longest"])
        scale = min(shorter / min(sides), longest / max(sides))
        size = [max(1, int(side * scale)) for side in sides]
        unit = np.asarray(picture, np.float32).transpose(2, 0, 1) / np.float32(255)
        canvas = np.empty((3, *(fixed or size)), np.float32)
        canvas[:] = np.array(self.config["mean"], np.float32).reshape(-1, 1, 1)  # 0 once it is normalised
        canvas[:, : size[0], : size[1]] = _bilinear(unit, size)
        boxes, scores, labels, *masks = self.outputs(_as_taken(canvas, self.config)[None])
        kept = (scores > 0) & (scores >= threshold)
        height_ratio, width_ratio = (side / resized for side, resized in zip(sides, size, strict=True))
        boxes = boxes[kept] * np.array([width_ratio, height_ratio] * 2, np.float32)
        pasted = None
        if masks:
            pasted = np.zeros((len(boxes), *sides), bool)
            for pixels, mask, box in zip(pasted, masks[0][kept], boxes, strict=True):
                _paste(mask[0], box, pixels)
        return Objects(boxes, scores[kept], labels[kept].astype(np.int64), pasted)


class ExportedSegmenter(ExportedFile):
    """An :class:`ExportedFile` of a segmenter, which takes pictures; its height and width must be open.

    Args:
        path: The file: .onnx, or .xml of OpenVINO with its .bin next to it.
        threads: CPU threads. Default: the runtime's choice.
        precision: What OpenVINO computes in, 'f32' or 'bf16'; see :class:`ExportedFile`.

    Raises:
        FileError: If the file cannot be opened, or is for another kind of network.

    Examples:
        >>> segmenter = open_segmenter("segmenter.onnx")  # doctest: +SKIP
        >>> segmenter("a.jpg").shape  # (H, W) of the picture  # doctest: +SKIP
        (480, 640)
    """

    def __init__(self, path: str | Path, threads: int | None = None, precision: str = "f32") -> None:
        super().__init__(path, threads, precision)
        if self.kind != "segmentation":
            raise FileError(f"{path}: got a file for {self.kind}, expected one for segmentation")
        if None not in self.shape[2:]:
            raise FileError(
                f"{path}: takes only images of {self.shape[2:]}; export it with --dynamic true, or call logits"
            )

    def __call__(self, image: Picture) -> Array:
        """A picture, or a file of one -> the class of each pixel, (H, W). It raises :class:`UnreadableImage`."""
        picture = read_picture(image, "RGB", self.config["range"])
        shorter, longest = self.config["shorter"], self.config["longest"]
        sides = picture.height, picture.width
        scale = min(shorter / min(sides), longest / max(sides))
        width, height = (max(1, int(side * scale)) for side in picture.size)
        resized = picture.resize((width, height), Image.Resampling.BILINEAR)
        unit = np.asarray(resized, np.float32).transpose(2, 0, 1) / np.float32(255)
        logits = self.logits(_as_taken(unit, self.config)[None])[0]
        rows = max(1, _LARGEST // (len(logits) * sides[1]))
        stripes = [
            _bilinear(logits, sides, slice(top, min(top + rows, sides[0]))).argmax(0)
            for top in range(0, sides[0], rows)
        ]
        return np.concatenate(stripes)


open_classifier = ExportedClassifier
"""Open a classifier in a file: :class:`ExportedClassifier` under another name."""
open_detector = ExportedDetector
"""Open a detector in a file: :class:`ExportedDetector` under another name."""
open_segmenter = ExportedSegmenter
"""Open a segmenter in a file: :class:`ExportedSegmenter` under another name."""


class _Opened(NamedTuple):
    """A file in its runtime: images -> outputs, its metadata, and the sizes (N, C, H, W) that are fixed."""

    run: Callable[[Array], list[Array]]
    metadata: dict[str, str]
    shape: list[int | None]


#: Before, ONNX Runtime reads weights from any file that a model names, and for Python 3.10 there is no later version.
_CONFINED = (1, 31)
#: How an ONNX file names such a file: the key of an entry, in the encoding of protocol buffers.
_EXTERNAL = b"\n\x08location\x12"


def _open_onnx(path: Path, threads: int | None, precision: str) -> _Opened:
    try:
        import onnxruntime
    except ImportError as error:
        raise FileError("onnxruntime is not installed: pip install onnxruntime") from error
    if precision != "f32":
        raise FileError(f"{path}: got precision {precision!r}, expected 'f32': only OpenVINO can choose another one")
    version = tuple(map(int, onnxruntime.__version__.split(".")[:2]))
    if version < _CONFINED and _EXTERNAL in path.read_bytes():
        raise FileError(
            f"{path}: not a readable model for onnxruntime {onnxruntime.__version__}: its weights are in another file, "
            f"which only version {'.'.join(map(str, _CONFINED))} keeps to the model's folder"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads = threads
    providers = ["CPUExecutionProvider"]
    session = _readable(path, lambda: onnxruntime.InferenceSession(str(path), options, providers=providers))
    entry, *others = session.get_inputs() or [None]
    if entry is None or others:
        raise FileError(f"{path}: takes {1 + len(others) if entry else 0} inputs, expected one; export it again")
    shape = [size if isinstance(size, int) else None for size in entry.shape]
    metadata = session.get_modelmeta().custom_metadata_map
    return _Opened(lambda batch: session.run(None, {entry.name: batch}), metadata, shape)


def _open_openvino(path: Path, threads: int | None, precision: str) -> _Opened:
    try:
        import openvino
    except ImportError as error:
        raise FileError("openvino is not installed: pip install openvino") from error
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision}
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()

    def read() -> tuple[Any, dict[str, str]]:
        model = core.read_model(str(path))
        keys = [key for key in _EVERY_KEY if model.has_rt_info(["atmnet", key])]
        return model, {key: model.get_rt_info(["atmnet", key]).astype(str) for key in keys}

    model, metadata = _readable(path, read)
    if len(model.inputs) != 1 or model.inputs[0].get_partial_shape().rank.is_dynamic:
        raise FileError(f"{path}: takes {len(model.inputs)} inputs, expected one with 4 axes; export it again")
    shape = [size.get_length() if size.is_static else None for size in model.inputs[0].get_partial_shape()]
    compiled = _readable(path, lambda: core.compile_model(model, "CPU", config))
    # Each call has its own request: threads that share one would get each other's outputs.
    return _Opened(lambda batch: list(compiled.create_infer_request().infer(batch).values()), metadata, shape)


_OPENERS = {".onnx": _open_onnx, ".xml": _open_openvino}


def _read_metadata(path: str | Path, metadata: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The kind of a file, and its metadata; anybody may have written them."""
    values: dict[str, Any] = {}
    for key in _EVERY_KEY & metadata.keys():
        try:
            values[key] = json.loads(metadata[key])
        except (ValueError, RecursionError) as error:
            raise FileError(f"{path}: its metadata are damaged: {key}: {_reason(error)}; export it again") from error
    kind = values.get("task", "classification")
    if kind not in list(KEYS):
        raise FileError(f"{path}: got a file for {kind!r:.40}, expected {', '.join(KEYS)}; update atmnet_runtime")
    values.setdefault("range", None)  # files of earlier versions
    values.setdefault("calibration_temperature", 1)
    missing = [key for key in KEYS[kind] if key not in values]
    if missing:
        raise FileError(f"{path}: not written by `atmnet export`: its metadata lack {', '.join(missing)}")
    for key in KEYS[kind]:
        expected, is_valid = _FIELDS[key]
        if not is_valid(values[key], values):
            raise FileError(
                f"{path}: its metadata are damaged: {key}: got {_short(values[key])}, expected {expected}; export it "
                "again"
            )
    return kind, values


def _is_number(value: Any, low: float, high: float, kinds: Any = (int, float)) -> bool:
    # Comparisons of NaN are false, and those of integers are exact whatever their size.
    return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high


def _are_numbers(value: Any, counts: Sequence[int], low: float, high: float, kinds: Any = (int, float)) -> bool:
    return isinstance(value, list) and len(value) in counts and all(_is_number(x, low, high, kinds) for x in value)


def _per_channel(value: Any, values: Mapping[str, Any], low: float) -> bool:
    size = values["input_size"]
    return _are_numbers(value, (1, size[0]) if _is_size(size) else (1,), low, 1e6)


def _is_size(value: Any) -> bool:
    return _are_numbers(value, (3,), 1, _MAX_SIDE, int)


def _short(value: Any) -> str:
    """A value in a message; it may be of any size."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)} items"
    return "a number of many digits" if isinstance(value, int) and abs(value) > 10**20 else f"{value!r:.40}"


#: Longest side of an image in pixels, and largest number of classes.
_MAX_SIDE, _MAX_CLASSES = 8192, 10**6
_Check = Callable[[Any, Mapping[str, Any]], bool]
#: What each key of the metadata must be, in words and as a function of the value and all values.
_FIELDS: dict[str, tuple[str, _Check]] = {
    "classes": (
        "a list of names",
        lambda value, _: isinstance(value, list) and 0 < len(value) <= _MAX_CLASSES
        and all(isinstance(name, str) for name in value),
    ),
    "input_size": (f"3 integers from 1 to {_MAX_SIDE}", lambda value, _: _is_size(value)),
    "mean": ("a number for each channel", lambda value, values: _per_channel(value, values, -1e6)),
    "std": ("a positive number for each channel", lambda value, values: _per_channel(value, values, 1e-6)),
    "pixels": ("normalised, unit or uint8", lambda value, _: value in ["normalised", "unit", "uint8"]),
    "range": (
        "two numbers, the lower first, or null",
        lambda value, _: value is None or (_are_numbers(value, (2,), -1e30, 1e30) and value[0] < value[1]),
    ),
    "interpolation": (
        "a filter of Pillow",
        lambda value, _: isinstance(value, str) and value.upper() in Image.Resampling.__members__,
    ),
    "crop_pct": ("a number from 0.05 to 20", lambda value, _: _is_number(value, 0.05, 20)),
    "crop_mode": ("center, squash or border", lambda value, _: value in ["center", "squash", "border"]),
    "calibration_temperature": ("a number from 0.01 to 100", lambda value, _: _is_number(value, 0.01, 100)),
    "shorter": (f"an integer from 1 to {_MAX_SIDE}", lambda value, _: _is_number(value, 1, _MAX_SIDE, int)),
    "longest": (f"an integer from 1 to {8 * _MAX_SIDE}", lambda value, _: _is_number(value, 1, 8 * _MAX_SIDE, int)),
    "head": ("a name", lambda value, _: isinstance(value, str) and len(value) <= 100),
    "raw": ("true or false", lambda value, _: isinstance(value, bool)),
    "category_ids": (
        "an integer for each class",
        lambda value, values: isinstance(values["classes"], list)
        and _are_numbers(value, (len(values["classes"]),), 0, 2**53, int),
    ),
}  # fmt: skip


def _readable(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:  # the runtimes' classes of errors have no other common base
        raise FileError(f"{path}: not a readable model: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def in_batches(run: Callable[[Array], Array], images: Array, size: int) -> Array:
    """``run`` on images (N, C, H, W), ``size`` at a time; the last batch repeats its last image."""
    parts = []
    for start in range(0, max(1, len(images)), size):
        part = images[start : start + size]
        padded = np.concatenate([part, np.repeat(part[-1:], size - len(part), 0)])
        parts.append(run(padded)[: len(part)])
    return np.concatenate(parts)


def preprocess(image: Picture, config: Mapping[str, Any]) -> Array:
    """Read, resize, crop and normalise a picture as timm's evaluation transform does.

    Args:
        image: A file, or a picture of Pillow. It becomes 8-bit grey or RGB: see :func:`read_picture`.
        config: See :class:`ExportedFile`. ``pixels`` is what the file takes: 'normalised' (by mean and std), 'unit'
            (float32 in 0..1) or 'uint8'; files that take one of the last two normalise it themselves.

    Returns:
        The picture, (C, H, W), as the file takes it: float32, or uint8.

    Raises:
        UnreadableImage: If the picture cannot be read.

    Examples:
        >>> facts = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "pixels": "normalised"}
        >>> facts |= {"interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center", "range": None}
        >>> preprocess(Image.new("RGB", (50, 40)), facts).shape
        (3, 32, 32)
    """
    channels, height, width = config["input_size"]
    picture = read_picture(image, "L" if channels == 1 else "RGB", config.get("range"))
    picture = _resized(picture, (height, width), config)
    # Machine code of AOTInductor takes only contiguous images, and does not check.
    values = np.ascontiguousarray(np.asarray(picture, np.uint8).reshape(height, width, channels).transpose(2, 0, 1))
    return values if config["pixels"] == "uint8" else _as_taken(values.astype(np.float32) / np.float32(255), config)


def _as_taken(unit: Array, config: Mapping[str, Any]) -> Array:
    """Floats (C, H, W) in 0..1 -> the values that the file takes."""
    if config["pixels"] == "unit":
        return unit
    if config["pixels"] == "uint8":
        return np.rint(255 * unit).clip(0, 255).astype(np.uint8)
    mean, std = (np.array(config[key], np.float32).reshape(-1, 1, 1) for key in ("mean", "std"))
    normalised: Array = (unit - mean) / std
    return normalised


def _bilinear(values: Array, size: Sequence[int], rows: slice = slice(None)) -> Array:
    """Bilinear interpolation without antialiasing, as torch's ``interpolate``: (C, h, w) -> some rows of (C, H, W)."""
    places = [
        np.maximum((np.arange(new) + 0.5) * (old / new) - 0.5, 0)
        for new, old in zip(size, values.shape[1:], strict=True)
    ]
    places[0] = places[0][rows]
    for axis, at in enumerate(places, 1):
        lower = at.astype(np.int64)
        upper = np.minimum(lower + 1, values.shape[axis] - 1)
        share = (at - lower).astype(np.float32).reshape(-1, *[1] * (2 - axis))
        below = values.take(lower, axis)
        values = below + (values.take(upper, axis) - below) * share
    return values


def _paste(mask: Array, box: Array, pixels: Array) -> None:
    """Set the pixels (H, W) in which a mask (M, M) that fills a box is above one half; roundings are torchvision's."""
    height, width = pixels.shape
    padded = np.pad(mask.astype(np.float32), 1)
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * (len(padded) / len(mask))
    (x0, y0), (x1, y1) = (corner.astype(np.int64).tolist() for corner in (centre - half, centre + half))
    enlarged = _bilinear(padded[None], [max(1, y1 - y0 + 1), max(1, x1 - x0 + 1)])[0] > 0.5
    top, bottom, left, right = max(y0, 0), min(y1 + 1, height), max(x0, 0), min(x1 + 1, width)
    if top < bottom and left < right:
        pixels[top:bottom, left:right] = enlarged[top - y0 : bottom - y0, left - x0 : right - x0]


@contextmanager
def open_picture(file: str | Path | IO[bytes]) -> Iterator[Image.Image]:
    """A picture file, opened and not yet decoded. Whatever fails within the block becomes an :class:`UnreadableImage`.

    Only :data:`FORMATS` are opened, whatever the file's name says.
    """
    with warnings.catch_warnings():
        # Pillow warns from half of its limit of pixels on and raises an error beyond it; only the error matters here.
        warnings.simplefilter("ignore")
        try:
            with Image.open(file, formats=FORMATS) as image:
                if max(image.size) > LONGEST_SIDE:
                    raise UnreadableImage(f"{image.width} x {image.height} pixels; a side has at most {LONGEST_SIDE}")
                yield image
        except UnreadableImage:
            raise
        except UnidentifiedImageError as error:
            raise UnreadableImage("not a picture, or too damaged to be recognised as one") from error
        except Exception as error:  # damaged files make decoders raise whatever they can
            raise UnreadableImage(f"{type(error).__name__}: {_reason(error)}") from error


def read_picture(file: Picture, mode: str = "RGB", value_range: Sequence[float] | None = None) -> Image.Image:
    """Decode a picture, turn it upright, and convert it to 8-bit ``mode``, 'RGB' or 'L': see :func:`plain`.

    Args:
        file: A file, or a picture of Pillow. Of an animation, the first frame is used.
        mode: 'RGB' or 'L'.
        value_range: The values (low, high) that become black and white in pictures of more than 8 bits.
            Default: 0 and 65535.

    Returns:
        The picture, in ``mode``.

    Raises:
        UnreadableImage: If the file is damaged, not a picture in one of :data:`FORMATS`, over Pillow's limit of pixels,
            or if a range is given and it has more than 8 bits in colour.

    Examples:
        >>> clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
        >>> read_picture(clear).getpixel((0, 0))  # transparency is over white
        (255, 255, 255)
    """
    if isinstance(file, Image.Image):
        return plain(ImageOps.exif_transpose(file), mode, value_range)
    with open_picture(file) as image:
        if value_range is not None and has_16_bit_colour(image):
            raise UnreadableImage("16 bits per channel in colour; a range of values is for grey: convert it to 8 bits")
        ImageOps.exif_transpose(image, in_place=True)
        return plain(image, mode, value_range)


def has_16_bit_colour(image: Image.Image) -> bool:
    """Whether a picture that is not yet decoded has 16 bits per channel, of which Pillow reads only the upper 8."""
    return image.mode not in _DEEP and any(";16" in str(tile[3]) for tile in getattr(image, "tile", []))


def plain(image: Image.Image, mode: str = "RGB", value_range: Sequence[float] | None = None) -> Image.Image:
    """A picture in 8-bit 'RGB' or 'L', its transparency laid over white.

    Grey of more than 8 bits (16 or 32 bits, or floats) is scaled so that ``value_range`` becomes black to white, and
    clipped; NaN becomes black. Without a range, black to white is 0 to 65535; for 32 bits 0 to 255 if no value of the
    picture exceeds 255; for floats 0 to 1 if none exceeds 1, else 0 to 255. Pictures of 8 bits are not scaled.
    """
    info: dict[str, float] = {}
    if image.mode in _DEEP:
        image, info = _to_8_bits(image, value_range)
    image = _over_white(image, mode) if image.has_transparency_data else image.convert(mode)
    image.info.update(info)
    return image


def _to_8_bits(image: Image.Image, value_range: Sequence[float] | None) -> tuple[Image.Image, dict[str, float]]:
    values = np.asarray(image)
    highest = float(values.max(initial=0, where=np.isfinite(values)))
    if value_range is not None:
        low, high = map(float, value_range)
        scale = 255 / (high - low)
    else:
        low, high, scale = 0.0, 65535.0, 1 / 257
        if image.mode == "F":
            high, scale = (1.0, 255.0) if highest <= 1 else (255.0, 1.0)
        elif image.mode == "I" and highest <= 255:
            high, scale = 255.0, 1.0
    bytes_ = np.empty(values.shape, np.uint8)
    for rows in _strips(image):  # the floats of a whole picture would take eight times its memory
        part = values[rows] if value_range is None else values[rows].astype(np.float64)
        bytes_[rows] = np.rint((np.clip(np.nan_to_num(part, nan=low), low, high) - low) * scale)
    if isinstance(clear := image.info.get("transparency"), int):
        bytes_[values == clear] = 255
    dark = high == 65535 and value_range is None and 255 < highest < high / 8
    return Image.fromarray(bytes_), {DARK: highest} if dark else {}


def _over_white(image: Image.Image, mode: str) -> Image.Image:
    flat = Image.new(mode, image.size)
    for rows in _strips(image):
        part = image.crop((0, rows.start, image.width, rows.stop)).convert("RGBA")
        white = Image.new("RGBA", part.size, "white")
        flat.paste(Image.alpha_composite(white, part).convert(mode), (0, rows.start))
    return flat


def _strips(image: Image.Image) -> Iterator[slice]:
    """The rows of a picture in parts of about four million pixels."""
    step = max(1, 2**22 // max(1, image.width))
    for top in range(0, image.height, step):
        yield slice(top, min(top + step, image.height))


def _resized(image: Image.Image, size: tuple[int, int], config: Mapping[str, Any]) -> Image.Image:
    """The picture at (H, W): resized to ``1 / crop_pct`` of that, then cropped in the middle, or padded if too small.

    All roundings are those of timm and torchvision.
    """
    goals = [math.floor(side / config["crop_pct"]) for side in size]
    sides = image.height, image.width
    ratios = [side / goal for side, goal in zip(sides, goals, strict=True)]
    fill: Any = 0
    if config["crop_mode"] == "squash":
        new = goals
    elif config["crop_mode"] == "border":
        new = [max(1, round(side / max(ratios))) for side in sides]
        fill = tuple(round(255 * value) for value in config["mean"])
        fill = fill if len(fill) > 1 else fill[0]
    elif goals[0] == goals[1]:
        new = [int(goals[0] * side / min(sides)) for side in sides]
    else:
        new = [round(side / min(ratios)) for side in sides]
    seen, box = new, None
    if math.prod(new) > _LARGEST:  # of a strip of pixels: resize only what the crop keeps
        seen = [min(pair) for pair in zip(new, size, strict=True)]
        starts = [round((side - part) / 2) for side, part in zip(new, seen, strict=True)]
        (y0, x0), (y1, x1) = (
            [min(side, at * side / whole) for at, side, whole in zip(corner, sides, new, strict=True)]
            for corner in (starts, [start + part for start, part in zip(starts, seen, strict=True)])
        )
        box = (x0, y0, x1, y1)
    if tuple(new) != sides:
        image = image.resize((seen[1], seen[0]), Image.Resampling[config["interpolation"].upper()], box)
    pad = [max(goal - side, 0) for goal, side in zip(size, seen, strict=True)]
    if any(pad):
        canvas = Image.new(image.mode, (image.width + pad[1], image.height + pad[0]), fill)
        canvas.paste(image, (pad[1] // 2, pad[0] // 2))
        image = canvas
    top, left = (round((side - goal) / 2) for side, goal in zip((image.height, image.width), size, strict=True))
    return image.crop((left, top, left + size[1], top + size[0]))
