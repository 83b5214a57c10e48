"""What a measurement ran on."""

import os
import platform
from importlib import metadata
from typing import Any

import torch

import atmnet

#: Libraries that do the work, where they are installed.
_LIBRARIES = ("torch", "torchvision", "timm", "numba", "triton")


def versions(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Processor, threads, versions, and the GPU if ``device`` is one, to write beside every number."""
    found: dict[str, Any] = {"processor": _processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    if torch.device(device).type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    found |= {"atmnet": atmnet.__version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
