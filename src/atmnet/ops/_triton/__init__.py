"""Sampling on the GPU: plain functions over tensors, without autograd. Triton is imported at the first launch.

Shapes: x (.., C), channels last; S channels per share group, G = C / S groups; A sampled axes, K branches: one per
axis, and the identity where it is asked for.
With TRITON_INTERPRET=1 in the environment before triton is imported, everything runs on the CPU, slowly.
"""

import os
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor


def obstacle(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why triton cannot run on such tensors, or None where it can."""
    if not _installed():
        return "the package triton is not installed"
    if device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1":
        return None
    if device.type != "cuda":
        return f"it needs a CUDA device, the tensors are on {device}"
    return _too_old(device)


def sample(x: Tensor, offset: Tensor, dims: Sequence[int], identity: bool) -> Tensor:
    """Sample ``x`` along each of ``dims``; one launch for all of them.

    Args:
        x: (.., C), floating point.
        offset: (.., A * G), floating point, maybe wider than ``x``: the k-th G values displace along ``dims[k]``.
        dims: A axes of ``x``, counted from its end (negative), other than the last.
        identity: Append ``x`` itself.

    Returns:
        (.., K, C), contiguous.
    """
    from atmnet.ops._triton import _launch

    return _launch.sample(x, offset, dims, identity)


def sample_backward(grad: Tensor, x: Tensor, offset: Tensor, dims: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`sample` from ``grad`` (.., K, C): shaped and typed like ``x`` and ``offset``, contiguous."""
    from atmnet.ops._triton import _launch

    return _launch.sample_backward(grad, x, offset, dims)


@cache
def _installed() -> bool:
    return find_spec("triton") is not None


@cache
def _too_old(device: torch.device) -> str | None:
    if torch.version.cuda and torch.cuda.get_device_capability(device) < (8, 0):
        return "it needs a GPU of compute capability 8.0 (Ampere) or newer"
    return None
