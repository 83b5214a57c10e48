"""PyTorch's own packages (.pt2): an exported program, or machine code by AOTInductor.

They are written for one size, because machine code for open sizes is slow.

Shapes: B images, C colour channels, H x W pixels.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from atmnet.export.job import Job
from atmnet.export.onnx_file import quiet
from atmnet.export.verify import Run
from atmnet.files import to_json
from atmnet.ops._private import keep_compiler_caches_private
from atmnet_cli.errors import UserError, first_line
from atmnet_runtime import Array

#: The file in the package that holds the metadata.
_METADATA = "atmnet.json"


def write_program(job: Job, path: Path) -> None:
    """Write an exported program; ``torch.export.load(path).module()`` runs it."""
    with quiet():
        torch.export.save(_program(job), path, extra_files={_METADATA: to_json(job.metadata)})


def load_program(path: Path, threads: int) -> Run:
    """Load an exported program."""
    with quiet():  # PyTorch 2.9 warns of its own buffers
        return on_arrays(torch.export.load(path).module())


def write_machine_code(job: Job, path: Path) -> None:
    """Write machine code for this kind of processor; ``torch._inductor.aoti_load_package(path)`` runs it.

    Raises:
        UserError: If there is no C++ compiler.
    """
    keep_compiler_caches_private()
    try:
        with quiet():
            torch._inductor.aoti_compile_and_package(
                _program(job), package_path=str(path), inductor_configs={"aot_inductor.metadata": job.metadata}
            )
    except torch._inductor.exc.InductorError as error:
        raise UserError(f"to: AOTInductor failed; is a C++ compiler installed? {first_line(error)}") from error


def load_machine_code(path: Path, threads: int) -> Run:
    """Load machine code."""
    return on_arrays(torch._inductor.aoti_load_package(str(path)))


def _program(job: Job) -> ExportedProgram:
    with torch.no_grad():
        return torch.export.export(job.network(), (job.example(),))


def on_arrays(model: Callable[..., Any]) -> Run:
    """A function of arrays that calls ``model``, which takes a tensor and returns one tensor or several."""

    @torch.inference_mode()
    def run(images: Array) -> list[Array]:
        out = model(torch.from_numpy(images))
        return [part.numpy() for part in (out if isinstance(out, list | tuple) else [out])]

    return run
