"""ExecuTorch programs (.pte) for CPUs, by its XNNPACK backend, for images of one size.

Shapes: B images, C colour channels, H x W pixels.
"""

from pathlib import Path

import numpy as np
import torch

from atmnet.export.job import Job
from atmnet.export.onnx_file import quiet
from atmnet.export.plain.grid import by_grids
from atmnet.export.verify import Run
from atmnet_cli.errors import UserError, first_line, install
from atmnet_runtime import Array


def write_executorch(job: Job, path: Path) -> None:
    """Write a program, whose metadata are methods without arguments that return a string of JSON each.

    Raises:
        UserError: If executorch is missing, or cannot convert the network.
    """
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
    except ImportError as error:
        raise UserError(f"to: executorch is not installed: {install('executorch')}") from error
    network = by_grids(job.network())
    try:
        with quiet(), torch.no_grad():
            program = torch.export.export(network, (job.example(),))
            lowered = to_edge_transform_and_lower(
                program, partitioner=[XnnpackPartitioner()], constant_methods=dict(job.metadata)
            )
            path.write_bytes(lowered.to_executorch().buffer)
    except (RuntimeError, ValueError, NotImplementedError, AssertionError) as error:
        raise UserError(f"to: this model cannot be written for ExecuTorch: {first_line(error)}") from error


def load_executorch(path: Path, threads: int) -> Run:
    """Load a program."""
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(path.read_bytes())
    method = program.load_method("forward")

    def run(images: Array) -> list[Array]:
        _ = program  # the method needs it, but holds no reference to it
        # The method ignores strides, and its next call overwrites these outputs.
        return [out.numpy().copy() for out in method.execute([torch.from_numpy(np.ascontiguousarray(images))])]

    return run
