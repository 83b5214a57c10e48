"""Run exported files with NumPy, Pillow, and ONNX Runtime or OpenVINO: no torch, nothing else of atmnet.

This module is one file, so that you can copy it beside an exported file and deploy the two.

Shapes: N images, C colour channels, H x W pixels, K classes.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

_COMMON = ("classes", "input_size", "mean", "std", "pixels")
#: What an exported classifier says of itself, as strings of JSON; see docs/deploy.md.
KEYS = (*_COMMON, "interpolation", "crop_pct", "crop_mode")
#: The same of every task; files that do not say theirs are classifiers.
TASK_KEYS = {
    "classification": KEYS,
    "segmentation": (*_COMMON, "shorter", "longest", "head"),
    "detection": (*_COMMON, "shorter", "longest", "head", "raw", "category_ids"),
}

Array = NDArray[Any]


class FileError(ValueError):
    """An exported file cannot be opened, or cannot run on what it was given. The message is one line."""


class _Opened(NamedTuple):
    """A file in its runtime: images -> outputs, what it says of itself, and the sizes (N, C, H, W) that are fixed."""

    run: Callable[[Array], list[Array]]
    metadata: dict[str, str]
    shape: list[int | None]


class ExportedFile:
    """A network in a file, with its class names and preprocessing.

    Args:
        path: The file: .onnx, or .xml of OpenVINO with its .bin beside it.
        threads: CPU threads; default: the runtime's choice.

    Attributes:
        path: The file.
        task: 'classification', 'segmentation' or 'detection'.
        classes: Names of the K classes.
        config: What to do with pictures: input_size (C, H, W), mean, std, pixels; for classifiers interpolation,
            crop_pct, crop_mode; for others shorter and longest side and head; for detectors raw and
            category_ids, COCO's numbers of the classes.
        shape: What the file takes, (N, C, H, W); None where that is open.

    Raises:
        FileError: For another ending, where the runtime is not installed, or the file is damaged or of another origin.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        kinds = {".onnx": _open_onnx, ".xml": _open_openvino}
        if Path(path).suffix not in kinds:
            raise FileError(f"{path}: expected a file that ends in {' or '.join(kinds)}")
        self._take(Path(path), kinds[Path(path).suffix](Path(path), threads))

    def _take(self, path: Path, opened: _Opened) -> None:
        self.path, self._run, self.shape = path, opened.run, opened.shape
        try:
            told = {key: json.loads(text) for key, text in opened.metadata.items() if key in _every_key()}
        except ValueError as error:
            raise FileError(f"{path}: its metadata are damaged: {error}") from error
        self.task: str = told.pop("task", "classification")
        if self.task not in TASK_KEYS:
            raise FileError(f"{path}: of an unknown task {self.task!r}: written by a newer `atmnet export`")
        missing = [key for key in TASK_KEYS[self.task] if key not in told]
        if missing:
            raise FileError(f"{path}: not written by `atmnet export`: its metadata lack {', '.join(missing)}")
        self.config: dict[str, Any] = {key: told[key] for key in TASK_KEYS[self.task]}
        self.classes: list[str] = self.config.pop("classes")

    def outputs(self, batch: Array) -> list[Array]:
        """Images (N, C, H, W) as the file takes them -> all outputs of the file.

        Raises:
            FileError: Where the file takes images of another size or type.
        """
        wanted = "uint8" if self.config["pixels"] == "uint8" else "float32"
        if not isinstance(batch, np.ndarray) or batch.ndim != 4 or batch.dtype != wanted or len(batch) == 0:
            got = f"{batch.dtype} {batch.shape}" if isinstance(batch, np.ndarray) else type(batch).__name__
            raise FileError(f"{self.path}: got {got}, the file takes arrays of {wanted} (N, C, H, W), N at least 1")
        for axis, name in enumerate(("images", "channels", "height", "width")):
            fixed = self.shape[axis]
            if fixed is not None and batch.shape[axis] != fixed:
                raise FileError(f"{self.path}: got {name} {batch.shape[axis]}, the file takes {fixed} alone")
        try:
            return self._run(batch)
        except Exception as error:  # the runtimes' classes of error have no other base
            raise FileError(f"{self.path}: cannot run on images {batch.shape}: {_reason(error)}") from error

    def logits(self, batch: Array) -> Array:
        """Images (N, C, H, W) as the file takes them -> (N, K) or of segmenters (N, K, H, W), float32.

        Where the file takes a fixed number of images, they are fed by that many.

        Raises:
            FileError: As :meth:`outputs`.
        """
        return in_batches(lambda part: self.outputs(part)[0], batch, self.shape[0] or max(1, len(batch)))


class _FileClassifier(ExportedFile):
    def __call__(self, images: Sequence[Image.Image]) -> Array:
        """Pictures -> probabilities (N, K)."""
        batch = np.stack([preprocess(image, self.config) for image in images])
        return _softmax(self.logits(batch).astype(np.float64))

    def _take(self, path: Path, opened: _Opened) -> None:
        super()._take(path, opened)
        _expect(self, "classification")


class OnnxClassifier(_FileClassifier):
    """A classifier as an ONNX file in ONNX Runtime. Arguments, attributes and errors as :class:`ExportedFile`."""

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self._take(Path(path), _open_onnx(Path(path), threads))


class OpenVinoClassifier(_FileClassifier):
    """A classifier as OpenVINO IR on the CPU. Arguments, attributes and errors as :class:`ExportedFile`.

    Args:
        path: The .xml file.
        threads: CPU threads; default: the runtime's choice.
        precision: 'f32', or 'bf16': faster and less exact, where the processor has it.
    """

    def __init__(self, path: str | Path, threads: int | None = None, precision: str = "f32") -> None:
        self._take(Path(path), _open_openvino(Path(path), threads, precision))


def open_classifier(path: str | Path, threads: int | None = None) -> OnnxClassifier | OpenVinoClassifier:
    """The classifier of an exported file, by its ending: .onnx, or .xml of OpenVINO.

    Raises:
        FileError: As :class:`ExportedFile`.
    """
    kinds: dict[str, Callable[..., OnnxClassifier | OpenVinoClassifier]] = {
        ".onnx": OnnxClassifier,
        ".xml": OpenVinoClassifier,
    }
    if Path(path).suffix not in kinds:
        raise FileError(f"{path}: expected a file that ends in {' or '.join(kinds)}")
    return kinds[Path(path).suffix](path, threads)


def _every_key() -> set[str]:
    return {"task", *(key for keys in TASK_KEYS.values() for key in keys)}


def _expect(file: ExportedFile, task: str) -> None:
    if file.task != task:
        raise FileError(f"{file.path}: got a file for {file.task}, expected one for {task}")


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _open_onnx(path: Path, threads: int | None) -> _Opened:
    try:
        import onnxruntime
    except ImportError as error:
        raise FileError("onnxruntime is not installed: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads = threads
    providers = ["CPUExecutionProvider"]
    session = _opened(path, lambda: onnxruntime.InferenceSession(str(path), options, providers=providers))
    entry = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else None for size in entry.shape]
    metadata = session.get_modelmeta().custom_metadata_map
    return _Opened(lambda batch: session.run(None, {entry.name: batch}), metadata, shape)


def _open_openvino(path: Path, threads: int | None, precision: str = "f32") -> _Opened:
    try:
        import openvino
    except ImportError as error:
        raise FileError("openvino is not installed: pip install openvino") from error
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision}
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    model = _opened(path, lambda: core.read_model(str(path)))
    metadata = {}
    for key in _every_key():
        if model.has_rt_info(["atmnet", key]):
            metadata[key] = model.get_rt_info(["atmnet", key]).astype(str)
    shape = [size.get_length() if size.is_static else None for size in model.inputs[0].get_partial_shape()]
    compiled = _opened(path, lambda: core.compile_model(model, "CPU", config))
    # A request of its own for each call: the model's one would hand threads each other's answers.
    return _Opened(lambda batch: list(compiled.create_infer_request().infer(batch).values()), metadata, shape)


def in_batches(run: Callable[[Array], Array], images: Array, size: int) -> Array:
    """``run`` on images (N, C, H, W), ``size`` at a time; the last are filled up by repetition."""
    parts = []
    for start in range(0, max(1, len(images)), size):
        part = images[start : start + size]
        padded = np.concatenate([part, np.repeat(part[-1:], size - len(part), 0)])
        parts.append(run(padded)[: len(part)])
    return np.concatenate(parts)


def _opened(path: Path, read: Callable[[], Any]) -> Any:
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    try:
        return read()
    except Exception as error:  # runtimes raise classes of their own, which share no other base
        raise FileError(f"{path}: not a readable model: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def preprocess(image: Image.Image, config: dict[str, Any]) -> Array:
    """Resize, crop and normalise a picture as timm's evaluation transform does: (C, H, W), contiguous.

    Args:
        image: Any picture; turned upright, and converted to grey or RGB as the file wants: see :func:`plain`.
        config: As in :class:`ExportedFile`. ``pixels`` says what the file takes: 'normalised' (by mean and std),
            'unit' (float32 in 0..1) or 'uint8'; it normalises the last two itself.
    """
    channels, height, width = config["input_size"]
    upright = plain(ImageOps.exif_transpose(image), "L" if channels == 1 else "RGB")
    image = _resized(upright, (height, width), config)
    # Machine code of AOTInductor takes contiguous images alone, and does not check.
    values = np.ascontiguousarray(np.asarray(image, np.uint8).reshape(height, width, channels).transpose(2, 0, 1))
    if config["pixels"] == "uint8":
        return values
    unit = values.astype(np.float32) / np.float32(255)
    if config["pixels"] == "unit":
        return unit
    mean, std = (np.array(config[key], np.float32).reshape(-1, 1, 1) for key in ("mean", "std"))
    return (unit - mean) / std


def plain(image: Image.Image, mode: str) -> Image.Image:
    """A picture in 8-bit 'RGB' or 'L': 16 bits scaled, float grey taken as 0..1, transparency laid over white."""
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


def _resized(image: Image.Image, size: tuple[int, int], config: dict[str, Any]) -> Image.Image:
    """The picture at (H, W): resized to ``1 / crop_pct`` of that, then cropped in the middle, padded where too small.

    All roundings are timm's and torchvision's.
    """
    wanted = [math.floor(side / config["crop_pct"]) for side in size]
    now = image.height, image.width
    fill: Any = 0
    if config["crop_mode"] == "squash":
        new = wanted
    elif config["crop_mode"] == "border":
        ratio = max(side / goal for side, goal in zip(now, wanted, strict=True))
        new = [round(side / ratio) for side in now]
        fill = tuple(round(255 * value) for value in config["mean"])
        fill = fill if len(fill) > 1 else fill[0]
    elif wanted[0] == wanted[1]:
        new = [int(wanted[0] * side / min(now)) for side in now]
    else:
        ratio = min(side / goal for side, goal in zip(now, wanted, strict=True))
        new = [round(side / ratio) for side in now]
    if tuple(new) != now:
        image = image.resize((new[1], new[0]), Image.Resampling[config["interpolation"].upper()])
    pad = [max(goal - side, 0) for goal, side in zip(size, new, strict=True)]
    if any(pad):
        canvas = Image.new(image.mode, (image.width + pad[1], image.height + pad[0]), fill)
        canvas.paste(image, (pad[1] // 2, pad[0] // 2))
        image = canvas
    top, left = (round((side - goal) / 2) for side, goal in zip((image.height, image.width), size, strict=True))
    return image.crop((left, top, left + size[1], top + size[0]))
