"""Sampling on the CPU, by kernels that numba compiles at their first use."""

import importlib.util
import math
import os
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from atmnet.ops._numba._threads import run

_TYPES = {
    torch.float64: "float64",
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}


def obstacle(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why the kernels cannot run on such tensors, or None where they can."""
    if device.type != "cpu":
        return f"it computes on the CPU, the tensors are on {device}"
    if dtype not in _TYPES:
        return f"it has no kernel for {dtype}"
    if not _installed():
        return "the package numba is not installed"
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return "numba must not compile, as NUMBA_DISABLE_JIT says"
    return None


@cache
def _installed() -> bool:
    return importlib.util.find_spec("numba") is not None


def sample(x: Tensor, offset: Tensor, dims: Sequence[int], identity: bool) -> Tensor:
    """x (.., C), offset (.., A * G) -> samples along each of ``dims``, then x itself if ``identity``: (.., K, C)."""
    x, offset = _rows(x), _rows(_wide(offset))
    out = x.new_empty(*x.shape[:-1], len(dims) + identity, x.shape[-1])
    if x.numel() == 0:
        return out
    groups, channels = offset.shape[-1] // len(dims), x.shape[-1]
    kernel = _kernel("forward", x, offset, groups)
    strides = [*_strides([x, offset]), out.shape[-2] * channels]
    axes = [size for dim in dims for size in _sizes(x, dim)[1:]]
    work = [_CHUNKS, *_addresses([x, offset, out]), x.numel() // channels, groups, len(dims), identity, *strides, *axes]
    run(kernel, work, out.numel())
    return out


def sample_backward(grad: Tensor, x: Tensor, offset: Tensor, dims: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Gradients of x and offset, given those of the samples (.., K, C)."""
    dtype = offset.dtype
    x, offset, grad = _rows(x), _rows(_wide(offset)), _rows(grad)
    identity = grad.shape[-2] > len(dims)
    wide = torch.promote_types(x.dtype, offset.dtype)
    grad_x = grad.select(-2, -1).to(wide, copy=True).contiguous() if identity else x.new_zeros(x.shape, dtype=wide)
    grad_offset = offset.new_empty(offset.shape) if x.numel() > 0 else offset.new_zeros(offset.shape)
    if x.numel() > 0:
        groups = offset.shape[-1] // len(dims)
        kernel = _kernel("backward", x, offset, groups)
        for k, dim in enumerate(dims):
            towards, grad_towards = (t.narrow(-1, k * groups, groups) for t in (offset, grad_offset))
            tensors = [x, towards, grad.select(-2, k), grad_x, grad_towards]
            sizes = _sizes(x, dim)
            lines = min(sizes[0] * sizes[2], _CHUNKS)
            parts = min(groups, _CHUNKS // lines)
            work = [lines * parts, *_addresses(tensors), *sizes, groups, parts, *_strides(tensors)]
            run(kernel, work, x.numel())
    return grad_x.to(x.dtype), grad_offset.to(dtype)


_CHUNKS = 64  # parts that the work is cut into, for up to about half as many threads


def _kernel(name: str, x: Tensor, offset: Tensor, groups: int) -> int:
    from atmnet.ops._numba._compile import kernel  # imports LLVM: only when something is to be computed

    return kernel(name, _TYPES[x.dtype], _TYPES[offset.dtype], x.shape[-1] // groups).address


def _wide(offset: Tensor) -> Tensor:
    return offset.to(torch.promote_types(offset.dtype, torch.float32))


def _rows(x: Tensor) -> Tensor:
    """x with contiguous channels and one stride between tokens; copied only where it has not."""
    regular = _stride(x) is not None and (x.stride(-1) == 1 or x.shape[-1] == 1)
    return x if regular else x.clone(memory_format=torch.contiguous_format)


def _stride(x: Tensor) -> int | None:
    """The one stride between the tokens of x, or None where there is no such."""
    first = following = None
    for size, stride in zip(reversed(x.shape[:-1]), reversed(x.stride()[:-1]), strict=True):
        if size == 1:
            continue
        if first is None:
            first = following = stride
        if stride != following:
            return None
        following *= size
    return x.shape[-1] if first is None else first


def _addresses(tensors: Sequence[Tensor]) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors]


def _strides(tensors: Sequence[Tensor]) -> list[int]:
    return [_stride(tensor) or 0 for tensor in tensors]


def _sizes(x: Tensor, dim: int) -> tuple[int, int, int]:
    """P, L, Q: tokens before, along and behind an axis."""
    return math.prod(x.shape[:dim]), x.shape[dim], math.prod(x.shape[dim + 1 : -1])
