"""ExecuTorch's programs (.pte) for CPUs, by its XNNPACK backend. Of one size.

Shapes: B images, C colour channels, H x W pixels.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atmnet.export.job import Job
from atmnet.export.onnx_file import quiet
from atmnet.export.plain.grid import by_grids
from atmnet_cli.errors import UserError


def write_executorch(job: Job, path: Path) -> None:
    """Write a program; the metadata lie in it as methods without arguments, each of which gives a string of JSON.

    Raises:
        UserError: Where executorch is missing, or cannot take the network.
    """
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
    except ImportError as error:
        raise UserError("to: ExecuTorch is missing: pip install 'atmnet[executorch]'") from error
    network: Any = by_grids(job.network())
    try:
        with quiet(), torch.no_grad():
            program = torch.export.export(network, (job.example(),))
            lowered = to_edge_transform_and_lower(
                program, partitioner=[XnnpackPartitioner()], constant_methods=dict(job.metadata)
            )
            path.write_bytes(lowered.to_executorch().buffer)
    except (RuntimeError, ValueError, NotImplementedError, AssertionError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"to: this model cannot be written for ExecuTorch: {lines[0][:300]}") from error


def load_executorch(path: Path, threads: int) -> Callable[[np.ndarray], list[np.ndarray]]:
    """What takes images and gives the outputs."""
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(path.read_bytes())
    method = program.load_method("forward")

    def run(images: np.ndarray) -> list[np.ndarray]:
        _ = program  # which the method needs, and does not hold
        # It reads memory in order, whatever the strides, and writes its next answer over the last.
        return [out.numpy().copy() for out in method.execute([torch.from_numpy(np.ascontiguousarray(images))])]

    return run
