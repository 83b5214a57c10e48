"""OpenVINO's intermediate representation: an .xml file, and its weights beside it in a .bin file."""

import tempfile
from pathlib import Path

from atmnet.export.int8 import quantise_openvino
from atmnet.export.job import Job
from atmnet.export.onnx_file import write_onnx
from atmnet_cli.errors import UserError, install


def write_openvino(job: Job, path: Path) -> None:
    """Write ``path`` (.xml) and its .bin.

    Raises:
        UserError: If openvino is missing, or the model cannot be exported.
    """
    try:
        import openvino
    except ImportError as error:
        raise UserError(f"to: openvino is not installed: {install('export')}") from error
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        write_onnx(job, file, metadata={})
        model = openvino.Core().read_model(file)
        if job.settings.precision == "int8":
            model = quantise_openvino(model, job.calibration_batches())
        for key, value in job.metadata.items():
            model.set_rt_info(value, ["atmnet", key])
        openvino.save_model(model, path, compress_to_fp16=job.settings.precision == "fp16")
