"""``atmnet env``"""

import os
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import torch

import atmnet
from atmnet.benchmark import versions
from atmnet.engine import device_of
from atmnet.models.store import store_folder, stored_weights
from atmnet.ops._dispatch import default_backend, unavailable_reasons
from atmnet_cli.options import EnvOptions
from atmnet_cli.printing import print_line

#: Extras whose packages users do not need.
_FOR_DEVELOPERS = ("dev", "docs")
#: Packages to name where the package's own metadata are missing, as when it runs from its source.
_ALWAYS = ("torch", "torchvision", "timm", "numba", "numpy", "pillow", "safetensors", "jsonargparse")
#: Beginnings of the names of environment variables that change what the package does.
_VARIABLES = ("ATMNET_", "CUDA_", "KMP_", "NUMBA_", "OMP_", "TORCH", "TRITON_")


def run(options: EnvOptions) -> int:
    """Print what a report of a fault should say."""
    device = device_of(options.device)
    for line in (
        f"atmnet {atmnet.__version__} in {Path(atmnet.__file__).parent}",
        f"Python {platform.python_version()} on {platform.platform()}",
        *_packages(),
        *_device(options.device, device),
        *_backends(device),
        *_threads(),
        *_caches(),
        *_environment(),
    ):
        print_line(line)
    return 0


def _packages() -> Iterator[str]:
    """Versions of the packages that this one can use, and the names of those that are missing."""
    installed, missing = [], []
    for name in sorted(_names(), key=str.lower):
        try:
            installed.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    yield f"packages: {', '.join(installed)}"
    yield f"not installed: {', '.join(missing) or 'none'}"


def _names() -> set[str]:
    try:
        requirements = requires("atmnet") or []
    except PackageNotFoundError:
        return set(_ALWAYS)
    names = {"triton"}  # comes with torch where there is one
    for requirement in requirements:
        extra = re.search(r"extra == ['\"](\w+)", requirement)
        if extra is None or extra[1] not in _FOR_DEVELOPERS:
            names |= set(re.findall(r"^[\w.-]+", requirement))
    return names - {"atmnet"}


def _device(name: str, device: torch.device) -> Iterator[str]:
    facts = versions(device)
    yield f"processor: {facts['processor']}, {facts['cores']} cores"
    reason = ""
    if name == "auto":
        built = (
            f"torch was built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch was built without CUDA"
        )
        devices = f"{torch.cuda.device_count()} CUDA devices" if torch.cuda.is_available() else "no CUDA device"
        reason = f" (auto: {devices}; {built})"
    yield f"device: {device}{reason}"
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        yield f"GPU: {facts['gpu']}, compute capability {major}.{minor}, {memory:.0f} GiB"


def _backends(device: torch.device) -> Iterator[str]:
    """The backend for float32 on the device, and what speaks against the others."""
    x = torch.empty(0, device=device)
    chosen = default_backend(x)
    why = "by ATMNET_BACKEND" if os.environ.get("ATMNET_BACKEND") else "the fastest that can run"
    reasons = unavailable_reasons(x)
    yield f"backend: {chosen} ({why})"
    for name, reason in reasons.items():
        yield f"  {name}: {'can run' if reason is None else f'cannot run: {reason}'}"
    if chosen not in reasons:
        yield f"  {chosen}: no backend has this name; ATMNET_BACKEND takes one of {', '.join(reasons)}"


def _threads() -> Iterator[str]:
    parallel = re.search(r"ATen parallel backend: (.*)", torch.__config__.parallel_info())
    yield (
        f"threads: {torch.get_num_threads()} within operations, {torch.get_num_interop_threads()} between them"
        f" ({parallel[1] if parallel else 'unknown library'})"
    )


def _caches() -> Iterator[str]:
    try:
        from atmnet.ops._numba._compile import cache_folders
    except ImportError:
        folders = []
    else:
        folders = [folder for folder, _ in cache_folders()]
    for folder in folders:
        number = len(list(folder.glob("*.o*"))) if folder.is_dir() else 0
        parent = next((each for each in (folder, *folder.parents) if each.exists()), folder)
        yield f"cache of kernels: {folder} ({'' if os.access(parent, os.W_OK) else 'not '}writable, {number} files)"
    names = ", ".join(stored_weights())
    yield f"weights: {store_folder()} and the package's; {names or 'none'}"


def _environment() -> Iterator[str]:
    variables = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(_VARIABLES)]
    yield f"environment: {' '.join(variables) or 'no variables that matter'}"
