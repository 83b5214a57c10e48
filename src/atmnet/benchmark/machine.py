"""Describes the machine and the software of a measurement."""

import os
import platform
from importlib import metadata

import torch

import atmnet

#: Libraries whose versions affect a measurement. Those that are not installed are skipped.
_LIBRARIES = ("torch", "torchvision", "timm", "numba", "triton")


def versions(device: torch.device | str = "cpu") -> dict[str, str | int | None]:
    """Processor, threads, library versions, and the name of the GPU if ``device`` is one."""
    info: dict[str, str | int | None] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if torch.device(device).type == "cuda":
        info["gpu"] = torch.cuda.get_device_name(device)
    info |= {"atmnet": atmnet.__version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            info[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return info


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
