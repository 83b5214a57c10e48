"""Sampling on the GPU: plain functions over tensors, without autograd. Triton is imported at the first launch.

Shapes: x (.., C), channels last; S channels per share group, G = C / S groups; A sampled axes, K branches: one for each
axis, and the tokens themselves if ``identity``.
If TRITON_INTERPRET=1 is in the environment before triton is imported, the kernels run on the CPU, slowly.
"""

import os
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from atmnet.ops._private import keep_triton_cache_private


def unavailable_reason(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why the kernels cannot run on tensors of this device and dtype; None if they can."""
    if not _installed():
        return "the package triton is not installed"
    if device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1":
        return None
    if device.type != "cuda":
        return f"it needs a CUDA device, but the tensors are on {device}"
    return _reason_too_old(device)


def sample(x: Tensor, offset: Tensor, dims: Sequence[int], identity: bool) -> Tensor:
    """Sample ``x`` along each of ``dims`` in one launch.

    Args:
        x: (.., C), floating point.
        offset: (.., A * G), floating point, possibly wider than ``x``: the k-th G values displace along ``dims[k]``.
        dims: A axes of ``x`` as negative numbers; not the last axis.
        identity: Whether to append ``x`` itself.

    Returns:
        (.., K, C), contiguous.
    """
    return _launcher().sample(x, offset, dims, identity)


def sample_backward(grad: Tensor, x: Tensor, offset: Tensor, dims: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Gradients of x and offset from the gradient of the samples, ``grad`` (.., K, C).

    Both are contiguous, of the shapes and dtypes of ``x`` and ``offset``.
    """
    return _launcher().sample_backward(grad, x, offset, dims)


@cache
def _launcher() -> Any:
    if os.environ.get("TRITON_INTERPRET") != "1":
        keep_triton_cache_private()
    from atmnet.ops._triton import _launch

    return _launch


@cache
def _installed() -> bool:
    return find_spec("triton") is not None


@cache
def _reason_too_old(device: torch.device) -> str | None:
    if torch.version.cuda and torch.cuda.get_device_capability(device) < (8, 0):
        return "it needs a GPU of compute capability 8.0 (Ampere) or newer"
    return None
