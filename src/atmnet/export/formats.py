"""The formats: how each is written, loaded and counted.

Shapes: B images, C colour channels, H x W pixels.
"""

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from atmnet.export.executorch_file import load_executorch, write_executorch
from atmnet.export.int8 import quantise_dynamic, quantise_static
from atmnet.export.job import Job
from atmnet.export.onnx_file import count_nodes, write_onnx
from atmnet.export.openvino_file import write_openvino
from atmnet.export.torch_file import load_machine_code, load_program, write_machine_code, write_program
from atmnet.tasks.exported import as_user_error
from atmnet_cli.errors import UserError
from atmnet_runtime import ExportedFile


class Format(NamedTuple):
    """How a format is written, and run for the verification.

    Attributes:
        suffix: Ending of the file.
        write: Writes a job to a path.
        load: (path, threads) -> what takes images (B, C, H, W) and gives the list of outputs.
        nodes: Counts the operators of a file, where that says something.
        precisions: Those that it is written in.
        dynamic: Whether sizes can be left open.
    """

    suffix: str
    write: Callable[[Job, Path], None]
    load: Callable[[Path, int], Callable[[np.ndarray], list[np.ndarray]]]
    nodes: Callable[[Path], int] | None
    precisions: tuple[str, ...]
    dynamic: bool


def _write_onnx(job: Job, path: Path) -> None:
    def write(file: Path) -> None:
        write_onnx(job.network(), file, job.example(), dynamic=job.dynamic, metadata=job.metadata, outputs=job.outputs)

    if not job.precision.startswith("int8"):
        return write(path)
    if importlib.util.find_spec("onnxruntime") is None:
        raise UserError("precision: 8 bits need onnxruntime: pip install 'atmnet[export]'")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        write(file)
        if job.calibration is None:
            quantise_dynamic(file, path)
        else:
            quantise_static(file, path, job.calibration_batches())
    return None


def _load(path: Path, threads: int) -> Callable[[np.ndarray], list[np.ndarray]]:
    with as_user_error():
        file = ExportedFile(path, threads)

    def run(images: np.ndarray) -> list[np.ndarray]:
        with as_user_error():
            return file.outputs(images)

    return run


FORMATS = {
    "onnx": Format(".onnx", _write_onnx, _load, count_nodes, ("fp32", "fp16", "int8", "int8-dynamic"), True),
    "openvino": Format(".xml", write_openvino, _load, None, ("fp32", "fp16", "int8"), True),
    "torch": Format(".pt2", write_program, load_program, None, ("fp32",), False),
    "executorch": Format(".pte", write_executorch, load_executorch, None, ("fp32",), False),
    "aoti": Format(".pt2", write_machine_code, load_machine_code, None, ("fp32",), False),
}
