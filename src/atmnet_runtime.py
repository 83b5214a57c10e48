"""Run exported classifiers with NumPy, Pillow and the file's own runtime.

Outside the package, whose import loads torch: nothing here does.

Shapes: N images, C colour channels, H x W pixels, K classes.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atmnet_options import UserError

#: What an exported file says of itself, as strings of JSON; see docs/deploy.md.
KEYS = ("classes", "input_size", "mean", "std", "interpolation", "crop_pct", "crop_mode", "pixels")

Array = NDArray[Any]


class _FileClassifier:
    """A classifier in a file, with its class names and preprocessing.

    Attributes:
        path: The file.
        classes: Names of the K classes.
        config: What to do with pictures: input_size (C, H, W), mean, std, interpolation, crop_pct, crop_mode, pixels.
    """

    def __init__(
        self, path: Path, run: Callable[[Array], Array], metadata: dict[str, str], shape: Sequence[int | None]
    ) -> None:
        missing = [key for key in KEYS if key not in metadata]
        if missing:
            raise UserError(f"{path}: not written by `atmnet export`: its metadata lack {', '.join(missing)}")
        self.path, self._run, self._shape = path, run, shape
        try:
            self.config = {key: json.loads(metadata[key]) for key in KEYS}
        except ValueError as error:
            raise UserError(f"{path}: its metadata are damaged: {error}") from error
        self.classes: list[str] = self.config.pop("classes")

    def logits(self, batch: Array) -> Array:
        """Images (N, C, H, W) as :func:`preprocess` gives them -> (N, K), float32.

        Raises:
            UserError: Where the file takes images of another size.
        """
        for axis, name in enumerate(("images", "channels", "height", "width")):
            fixed = self._shape[axis]
            if axis and fixed is not None and batch.shape[axis] != fixed:
                raise UserError(f"{self.path}: got {name} {batch.shape[axis]}, the file takes {fixed} alone")
        try:
            return in_batches(self._run, batch, self._shape[0] or len(batch))
        except Exception as error:  # the runtimes' classes of error have no other base
            raise UserError(f"{self.path}: cannot run on images {batch.shape}: {_reason(error)}") from error

    def __call__(self, images: Sequence[Image.Image]) -> Array:
        """Pictures -> probabilities (N, K)."""
        batch = np.stack([preprocess(image, self.config) for image in images])
        logits = self.logits(batch).astype(np.float64)
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)


class OnnxClassifier(_FileClassifier):
    """An ONNX file in ONNX Runtime.

    Args:
        path: The file.
        threads: CPU threads; default: the runtime's choice.

    Raises:
        UserError: Where onnxruntime is not installed, or the file is damaged or of another origin.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError("onnxruntime is not installed: pip install onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        if threads is not None:
            options.intra_op_num_threads = threads
        providers = ["CPUExecutionProvider"]
        session = _opened(Path(path), lambda: onnxruntime.InferenceSession(str(path), options, providers=providers))
        entry = session.get_inputs()[0]
        shape = [size if isinstance(size, int) else None for size in entry.shape]
        metadata = session.get_modelmeta().custom_metadata_map
        super().__init__(Path(path), lambda batch: session.run(None, {entry.name: batch})[0], metadata, shape)


class OpenVinoClassifier(_FileClassifier):
    """An OpenVINO IR (the .xml file, its .bin beside it) on the CPU. Errors as :class:`OnnxClassifier`.

    Args:
        path: The .xml file.
        threads: CPU threads; default: the runtime's choice.
        precision: 'f32', or 'bf16': faster and less exact, where the processor has it.
    """

    def __init__(self, path: str | Path, threads: int | None = None, precision: str = "f32") -> None:
        try:
            import openvino
        except ImportError as error:
            raise UserError("openvino is not installed: pip install openvino") from error
        config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision}
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = threads
        core = openvino.Core()
        model = _opened(Path(path), lambda: core.read_model(str(path)))
        metadata = {}
        for key in KEYS:
            if model.has_rt_info(["atmnet", key]):
                metadata[key] = model.get_rt_info(["atmnet", key]).astype(str)
        shape = [size.get_length() if size.is_static else None for size in model.inputs[0].get_partial_shape()]
        compiled = core.compile_model(model, "CPU", config)
        super().__init__(Path(path), lambda batch: compiled(batch)[0], metadata, shape)


def open_classifier(path: str | Path, threads: int | None = None) -> OnnxClassifier | OpenVinoClassifier:
    """The classifier of an exported file, by its ending: .onnx, or .xml of OpenVINO.

    Raises:
        UserError: For another ending, and as :class:`OnnxClassifier`.
    """
    kinds: dict[str, Callable[..., OnnxClassifier | OpenVinoClassifier]] = {
        ".onnx": OnnxClassifier,
        ".xml": OpenVinoClassifier,
    }
    if Path(path).suffix not in kinds:
        raise UserError(f"{path}: expected a file that ends in {' or '.join(kinds)}")
    return kinds[Path(path).suffix](path, threads)


def in_batches(run: Callable[[Array], Array], images: Array, size: int) -> Array:
    """``run`` on images (N, C, H, W), ``size`` at a time; the last are filled up by repetition."""
    parts = []
    for start in range(0, len(images), size):
        part = images[start : start + size]
        padded = np.concatenate([part, np.repeat(part[-1:], size - len(part), 0)])
        parts.append(run(padded)[: len(part)])
    return np.concatenate(parts)


def _opened(path: Path, read: Callable[[], Any]) -> Any:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        return read()
    except Exception as error:  # runtimes raise classes of their own, which share no other base
        raise UserError(f"{path}: not a readable model: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def preprocess(image: Image.Image, config: dict[str, Any]) -> Array:
    """Resize, crop and normalise a picture as timm's evaluation transform does: (C, H, W).

    Args:
        image: Any picture; converted to grey or RGB as the file wants.
        config: As in :class:`OnnxClassifier`. ``pixels`` says what the file takes: 'normalised' (by mean and std),
            'unit' (float32 in 0..1) or 'uint8'; it normalises the last two itself.
    """
    channels, height, width = config["input_size"]
    image = _resized(image.convert("L" if channels == 1 else "RGB"), (height, width), config)
    values = np.asarray(image, np.uint8).reshape(height, width, channels).transpose(2, 0, 1)
    if config["pixels"] == "uint8":
        return values
    unit = values.astype(np.float32) / np.float32(255)
    if config["pixels"] == "unit":
        return unit
    mean, std = (np.array(config[key], np.float32).reshape(-1, 1, 1) for key in ("mean", "std"))
    return (unit - mean) / std


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
