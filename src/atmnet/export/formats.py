"""The formats: how each is written, loaded and counted.

Shapes: B images, C colour channels, H x W pixels, K classes.
"""

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from atmnet.export.int8 import quantise_dynamic, quantise_static
from atmnet.export.job import Job
from atmnet.export.onnx_file import count_nodes, write_onnx
from atmnet.export.openvino_file import load_openvino, write_openvino
from atmnet.export.torch_file import load_machine_code, load_program, write_machine_code, write_program
from atmnet_options import UserError
from atmnet_runtime import OnnxClassifier


class Format(NamedTuple):
    """How a format is written, and run for the verification.

    Attributes:
        suffix: Ending of the file.
        write: Writes a job to a path.
        load: (path, threads) -> what takes images (B, C, H, W) and gives logits (B, K).
        nodes: Counts the operators of a file, where that says something.
        precisions: Those that it is written in.
        dynamic: Whether sizes can be left open.
    """

    suffix: str
    write: Callable[[Job, Path], None]
    load: Callable[[Path, int], Callable[[np.ndarray], np.ndarray]]
    nodes: Callable[[Path], int] | None
    precisions: tuple[str, ...]
    dynamic: bool


def _write_onnx(job: Job, path: Path) -> None:
    if not job.precision.startswith("int8"):
        write_onnx(job.network(), path, job.example(), dynamic=job.dynamic, metadata=job.metadata)
        return
    if importlib.util.find_spec("onnxruntime") is None:
        raise UserError("precision: 8 bits need onnxruntime: pip install 'atmnet[export]'")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        write_onnx(job.network(), file, job.example(), dynamic=job.dynamic, metadata=job.metadata)
        if job.calibration is None:
            quantise_dynamic(file, path)
        else:
            quantise_static(file, path, job.calibration_batches())


def _load_onnx(path: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    return OnnxClassifier(path, threads).logits


FORMATS = {
    "onnx": Format(".onnx", _write_onnx, _load_onnx, count_nodes, ("fp32", "fp16", "int8", "int8-dynamic"), True),
    "openvino": Format(".xml", write_openvino, load_openvino, None, ("fp32", "fp16", "int8"), True),
    "torch": Format(".pt2", write_program, load_program, None, ("fp32",), False),
    "aoti": Format(".pt2", write_machine_code, load_machine_code, None, ("fp32",), False),
}
