"""Run exported files with NumPy, Pillow, and ONNX Runtime or OpenVINO, without torch and without atmnet.

This module is one file, so that you can copy it next to an exported file and deploy both.

Shapes: N images, C colour channels, H x W pixels, K classes.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

_COMMON = ("classes", "input_size", "mean", "std", "pixels")
#: The metadata of the files of each kind, as strings of JSON; see docs/deploy.md.
KEYS = {
    "classification": (*_COMMON, "interpolation", "crop_pct", "crop_mode"),
    "segmentation": (*_COMMON, "shorter", "longest", "head"),
    "detection": (*_COMMON, "shorter", "longest", "head", "raw", "category_ids"),
}
_EVERY_KEY = {"task", *(key for keys in KEYS.values() for key in keys)}

Array = NDArray[Any]


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
        kind: 'classification', 'segmentation' or 'detection'. ``task`` is the same.
        classes: Names of the K classes.
        config: Preprocessing: input_size (C, H, W), mean, std and pixels. Classifiers also have interpolation, crop_pct
            and crop_mode, the others shorter, longest and head, and detectors raw and category_ids, COCO's numbers of
            the classes.
        shape: The shape that the file takes, (N, C, H, W); None where any size will do.

    Raises:
        FileError: If the file has another ending, is damaged or was not written by ``atmnet export``, or if its runtime
            is not installed.
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
            rank = 2 if self.kind == "classification" else 4
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
    """An :class:`ExportedFile` of a classifier, which also takes pictures."""

    def __init__(self, path: str | Path, threads: int | None = None, precision: str = "f32") -> None:
        super().__init__(path, threads, precision)
        if self.kind != "classification":
            raise FileError(f"{path}: got a file for {self.kind}, expected one for classification; use ExportedFile")

    def __call__(self, images: Sequence[Image.Image]) -> Array:
        """Pictures -> probabilities (N, K)."""
        logits = self.logits(np.stack([preprocess(image, self.config) for image in images])).astype(np.float64)
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)


#: The classifier of an exported file; arguments and errors as for :class:`ExportedFile`.
open_classifier = ExportedClassifier


class _Opened(NamedTuple):
    """A file in its runtime: images -> outputs, its metadata, and the sizes (N, C, H, W) that are fixed."""

    run: Callable[[Array], list[Array]]
    metadata: dict[str, str]
    shape: list[int | None]


def _open_onnx(path: Path, threads: int | None, precision: str) -> _Opened:
    try:
        import onnxruntime
    except ImportError as error:
        raise FileError("onnxruntime is not installed: pip install onnxruntime") from error
    if precision != "f32":
        raise FileError(f"{path}: got precision {precision!r}, expected 'f32': only OpenVINO can choose another one")
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


def preprocess(image: Image.Image, config: Mapping[str, Any]) -> Array:
    """Resize, crop and normalise a picture as timm's evaluation transform does: (C, H, W), contiguous.

    Args:
        image: Any picture. It is turned upright and converted to grey or RGB: see :func:`plain`.
        config: See :class:`ExportedFile`. ``pixels`` is what the file takes: 'normalised' (by mean and std), 'unit'
            (float32 in 0..1) or 'uint8'; files that take one of the last two normalise it themselves.
    """
    channels, height, width = config["input_size"]
    upright = plain(ImageOps.exif_transpose(image), "L" if channels == 1 else "RGB")
    image = _resized(upright, (height, width), config)
    # Machine code of AOTInductor takes only contiguous images, and does not check.
    values = np.ascontiguousarray(np.asarray(image, np.uint8).reshape(height, width, channels).transpose(2, 0, 1))
    if config["pixels"] == "uint8":
        return values
    unit = values.astype(np.float32) / np.float32(255)
    if config["pixels"] == "unit":
        return unit
    mean, std = (np.array(config[key], np.float32).reshape(-1, 1, 1) for key in ("mean", "std"))
    return (unit - mean) / std


def plain(image: Image.Image, mode: str) -> Image.Image:
    """A picture in 8-bit 'RGB' or 'L': 16 bits are scaled, float grey is 0..1, transparency is laid over white."""
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_to_8_bits(np.asarray(image), image.mode))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)


def _to_8_bits(values: Array, mode: str) -> Array:
    highest = values.max(initial=0)
    if mode == "F":
        scale = 255.0 if highest <= 1 else 1.0
    else:
        scale = 1.0 if mode == "I" and highest <= 255 else 1 / 257
    return np.rint(np.clip(np.nan_to_num(values) * scale, 0, 255)).astype(np.uint8)


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
        new = [round(side / max(ratios)) for side in sides]
        fill = tuple(round(255 * value) for value in config["mean"])
        fill = fill if len(fill) > 1 else fill[0]
    elif goals[0] == goals[1]:
        new = [int(goals[0] * side / min(sides)) for side in sides]
    else:
        new = [round(side / min(ratios)) for side in sides]
    if tuple(new) != sides:
        image = image.resize((new[1], new[0]), Image.Resampling[config["interpolation"].upper()])
    pad = [max(goal - side, 0) for goal, side in zip(size, new, strict=True)]
    if any(pad):
        canvas = Image.new(image.mode, (image.width + pad[1], image.height + pad[0]), fill)
        canvas.paste(image, (pad[1] // 2, pad[0] // 2))
        image = canvas
    top, left = (round((side - goal) / 2) for side, goal in zip((image.height, image.width), size, strict=True))
    return image.crop((left, top, left + size[1], top + size[0]))
