"""Sampling on the CPU by kernels that numba compiles at their first use.

Shapes: x is seen as (P, L, Q, C): P tokens before the sampled axis, L along it, Q behind it. C channels in G share
groups, A sampled axes, K branches: A, or A + 1 with the tokens themselves as the last.
"""

import importlib.util
import math
import os
import threading
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from atmnet.ops._numba._threads import existing_threads, run
from atmnet.ops._reference import position_dtype

_TYPES = {
    torch.float64: "float64",
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}


#: Threads that make the first call at the same time must get the same kernel.
_LOCK = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A fork waits until another thread has compiled or loaded its kernel; else the child would wait for that for ever.
    os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


def unavailable_reason(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why the kernels cannot run on tensors of this device and dtype; None if they can."""
    if device.type != "cpu":
        return f"it computes on the CPU, but the tensors are on {device}"
    if dtype not in _TYPES:
        return f"it has no kernel for {dtype}"
    if not _installed():
        return "the package numba is not installed"
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return "the environment variable NUMBA_DISABLE_JIT forbids numba to compile"
    return None


@cache
def _installed() -> bool:
    return importlib.util.find_spec("numba") is not None


@existing_threads()
def sample(x: Tensor, offset: Tensor, dims: Sequence[int], identity: bool) -> Tensor:
    """Sample x (.., C) along each of ``dims`` at offset (.., A * G); append x itself if ``identity``: (.., K, C)."""
    x, offset = _evenly_strided(x), _evenly_strided(_wide_enough(x, offset, dims))
    out = x.new_empty(*x.shape[:-1], len(dims) + identity, x.shape[-1])
    if x.numel() == 0:
        return out
    groups, channels = offset.shape[-1] // len(dims), x.shape[-1]
    kernel = _kernel("forward", x, offset, groups)
    strides = [*_token_strides([x, offset]), out.shape[-2] * channels]
    axes = [size for dim in dims for size in _axis_sizes(x, dim)[1:]]
    tokens = x.numel() // channels
    arguments = [_CHUNKS, *_addresses([x, offset, out]), tokens, groups, len(dims), identity, *strides, *axes]
    run(kernel, arguments, out.numel())
    return out


@existing_threads()
def sample_backward(grad: Tensor, x: Tensor, offset: Tensor, dims: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Gradients of x and offset from the gradient of the samples, ``grad`` (.., K, C)."""
    offset_dtype = offset.dtype
    x, offset, grad = _evenly_strided(x), _evenly_strided(_wide_enough(x, offset, dims)), _evenly_strided(grad)
    dtype = torch.promote_types(x.dtype, offset.dtype)
    if grad.shape[-2] > len(dims):  # the last branch is x itself, so its gradient is where the sum starts
        grad_x = grad.select(-2, -1).to(dtype, copy=True).contiguous()
    else:
        grad_x = x.new_zeros(x.shape, dtype=dtype)
    grad_offset = offset.new_empty(offset.shape) if x.numel() > 0 else offset.new_zeros(offset.shape)
    if x.numel() > 0:
        groups = offset.shape[-1] // len(dims)
        kernel = _kernel("backward", x, offset, groups)
        for k, dim in enumerate(dims):
            axis_offset, axis_grad_offset = (t.narrow(-1, k * groups, groups) for t in (offset, grad_offset))
            tensors = [x, axis_offset, grad.select(-2, k), grad_x, axis_grad_offset]
            sizes = _axis_sizes(x, dim)
            lines = min(sizes[0] * sizes[2], _CHUNKS)
            parts = min(groups, _CHUNKS // lines)
            arguments = [lines * parts, *_addresses(tensors), *sizes, groups, parts, *_token_strides(tensors)]
            run(kernel, arguments, x.numel())
    return grad_x.to(x.dtype), grad_offset.to(offset_dtype)


_CHUNKS = 64  # the work is split into this many chunks, which balances the load of about half as many threads


def _kernel(name: str, x: Tensor, offset: Tensor, groups: int) -> int:
    with _LOCK:
        from atmnet.ops._numba._compile import kernel  # imports LLVM, so only when a kernel is needed

        return kernel(name, _TYPES[x.dtype], _TYPES[offset.dtype], x.shape[-1] // groups).address


def _wide_enough(x: Tensor, offset: Tensor, dims: Sequence[int]) -> Tensor:
    longest = max(x.shape[dim] for dim in dims)
    if longest >= 2**31:
        raise ValueError(f"x: got {longest} tokens along an axis, expected fewer than 2**31")
    return offset.to(position_dtype(offset.dtype, longest))


def _evenly_strided(x: Tensor) -> Tensor:
    """x with contiguous channels and the same stride from each token to the next; a copy only if x has not."""
    regular = _token_stride(x) is not None and (x.stride(-1) == 1 or x.shape[-1] == 1)
    return x if regular else x.clone(memory_format=torch.contiguous_format)


def _token_stride(x: Tensor) -> int | None:
    """The stride from each token of x to the next, in elements; None if it is not the same everywhere."""
    first = expected = None
    for size, stride in zip(reversed(x.shape[:-1]), reversed(x.stride()[:-1]), strict=True):
        if size == 1:
            continue
        if first is None:
            first = expected = stride
        if stride != expected:
            return None
        expected *= size
    return x.shape[-1] if first is None else first


def _addresses(tensors: Sequence[Tensor]) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors]


def _token_strides(tensors: Sequence[Tensor]) -> list[int]:
    return [_token_stride(tensor) or 0 for tensor in tensors]


def _axis_sizes(x: Tensor, dim: int) -> tuple[int, int, int]:
    """P, L, Q: the number of tokens before, along and behind an axis."""
    return math.prod(x.shape[:dim]), x.shape[dim], math.prod(x.shape[dim + 1 : -1])
