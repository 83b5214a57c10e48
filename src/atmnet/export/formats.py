"""The formats: how each of them is written and loaded, and which options it takes, in one table.

Shapes: B images, C colour channels, H x W pixels.
"""

import importlib.util
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from atmnet.export.executorch_file import load_executorch, write_executorch
from atmnet.export.int8 import quantise_dynamic, quantise_static
from atmnet.export.job import Job
from atmnet.export.onnx_file import count_nodes, write_onnx
from atmnet.export.openvino_file import write_openvino
from atmnet.export.settings import Precision
from atmnet.export.torch_file import load_machine_code, load_program, write_machine_code, write_program
from atmnet.export.verify import Run
from atmnet.tasks.exported import as_user_error
from atmnet_cli.errors import UserError, install
from atmnet_runtime import Array, ExportedFile


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        suffix: Ending of the file.
        write: Writes a job to a path.
        load: (path, threads) -> a function that takes images (B, C, H, W) and returns the list of outputs.
        precisions: The precisions that the format is written in.
        dynamic: Whether sizes can be left open.
        whole_detectors: Whether it has operators for the suppression of boxes and for RoIAlign.
        count_nodes: Counts the operators of a file; None for formats that do not tell.
    """

    suffix: str
    write: Callable[[Job, Path], None]
    load: Callable[[Path, int], Run]
    precisions: tuple[Precision, ...] = ("fp32",)
    dynamic: bool = False
    whole_detectors: bool = False
    count_nodes: Callable[[Path], int] | None = None


def _write_onnx(job: Job, path: Path) -> None:
    if not job.settings.precision.startswith("int8"):
        return write_onnx(job, path, job.metadata)
    if importlib.util.find_spec("onnxruntime") is None:
        raise UserError(f"precision: 8 bits need onnxruntime: {install('export')}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        write_onnx(job, file, job.metadata)
        if job.calibration is None:
            quantise_dynamic(file, path)
        else:
            quantise_static(file, path, job.calibration_batches())
    return None


def _load(path: Path, threads: int) -> Run:
    with as_user_error():
        file = ExportedFile(path, threads)

    def run(images: Array) -> list[Array]:
        with as_user_error():
            return file.outputs(images)

    return run


FORMATS = {
    "onnx": Format(
        ".onnx", _write_onnx, _load, ("fp32", "fp16", "int8", "int8-dynamic"),
        dynamic=True, whole_detectors=True, count_nodes=count_nodes,
    ),
    "openvino": Format(
        ".xml", write_openvino, _load, ("fp32", "fp16", "int8"), dynamic=True, whole_detectors=True,
    ),
    "torch": Format(".pt2", write_program, load_program),
    "executorch": Format(".pte", write_executorch, load_executorch),
    "aoti": Format(".pt2", write_machine_code, load_machine_code),
}  # fmt: skip


def find_format(to: str) -> Format:
    """The format called ``to``.

    Raises:
        UserError: For a format that is unknown or cannot be checked on this machine.
    """
    if to == "coreml":
        raise UserError(
            "to: Core ML files run only on Apple's systems, so they cannot be compared with the model here; export "
            "with --to torch and convert that program there: pip install coremltools"
        )
    if to not in FORMATS:
        raise UserError(f"to: got {to!r}, expected one of {', '.join(FORMATS)}")
    return FORMATS[to]
