"""PyTorch's own packages (.pt2): an exported program, or machine code by AOTInductor. Of one size: open ones are slow.

Shapes: B images, C colour channels, H x W pixels.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atmnet.export.job import Job
from atmnet.export.onnx_file import quiet
from atmnet_cli.errors import UserError

#: The file in the package that says what the model is.
_RECORD = "atmnet.json"


def write_program(job: Job, path: Path) -> None:
    """Write an exported program; ``torch.export.load(path).module()`` runs it."""
    with quiet():
        torch.export.save(_program(job), path, extra_files={_RECORD: json.dumps(job.metadata)})


def load_program(path: Path, threads: int) -> Callable[[np.ndarray], list[np.ndarray]]:
    """What takes images and gives the outputs."""
    return on_arrays(torch.export.load(path).module())


def write_machine_code(job: Job, path: Path) -> None:
    """Write machine code for this kind of processor; ``torch._inductor.aoti_load_package(path)`` runs it.

    Raises:
        UserError: Where there is no C++ compiler.
    """
    try:
        with quiet():
            torch._inductor.aoti_compile_and_package(
                _program(job), package_path=str(path), inductor_configs={"aot_inductor.metadata": job.metadata}
            )
    except torch._inductor.exc.InductorError as error:
        raise UserError(f"to: AOTInductor could not compile (is there a C++ compiler?): {str(error)[:200]}") from error


def load_machine_code(path: Path, threads: int) -> Callable[[np.ndarray], list[np.ndarray]]:
    """What takes images and gives the outputs."""
    return on_arrays(torch._inductor.aoti_load_package(str(path)))


def _program(job: Job) -> Any:
    with torch.no_grad():
        return torch.export.export(job.network(), (job.example(),))


def on_arrays(model: Callable[..., Any]) -> Callable[[np.ndarray], list[np.ndarray]]:
    """``model``, of one tensor or several as outputs, with arrays in place of tensors."""

    @torch.inference_mode()
    def run(images: np.ndarray) -> list[np.ndarray]:
        out = model(torch.from_numpy(images))
        return [part.numpy() for part in (out if isinstance(out, list | tuple) else [out])]

    return run
