"""Launches the kernels on tensors.

Shapes: N tokens in total, L tokens along a sampled axis, Q tokens from one to the next along it, C channels, S channels
per share group, G = C / S groups, A sampled axes, K branches (A, or A + 1 with the tokens themselves).
"""

import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from atmnet.ops._reference import position_dtype
from atmnet.ops._triton import _tuning


def sample(x: Tensor, offset: Tensor, dims: Sequence[int], identity: bool) -> Tensor:
    """See :func:`atmnet.ops._triton.sample`."""
    out = x.new_empty(*x.shape[:-1], len(dims) + identity, x.size(-1))
    if out.numel() == 0:
        return out
    x_rows, offset_rows = _contiguous_channels(_rows(x)), _rows(offset)
    groups = offset.size(-1) // len(dims)
    lengths, strides = zip(*(_length_and_stride(x, dim) for dim in dims), strict=True)
    height, width = x.size(-3) if x.dim() > 2 else 1, x.size(-2)
    planes = len(x_rows) // (height * width)

    def grid(tile: dict[str, int]) -> tuple[int]:
        patches = planes * triton.cdiv(height, tile["BLOCK_H"]) * triton.cdiv(width, tile["BLOCK_W"])
        return (patches * triton.cdiv(groups, tile["BLOCK_G"]),)

    with torch.cuda.device_of(x):
        _tuning.sample_kernel_for(groups, x.size(-1) // groups, height == 1)[grid](
            x_rows,
            offset_rows,
            out,
            lengths,
            strides,
            height,
            width,
            x_rows.stride(0),
            *offset_rows.stride(),
            _tuning.size_class(len(x_rows)),
            DIMS=tuple(dims),
            IDENTITY=identity,
            **_constants(x, offset, groups, dims, [x_rows, offset_rows, out]),
        )
    return out


def sample_backward(grad: Tensor, x: Tensor, offset: Tensor, dims: Sequence[int]) -> tuple[Tensor, Tensor]:
    """See :func:`atmnet.ops._triton.sample_backward`. One launch per axis, because lines along
    different axes cross.
    """
    if grad.numel() == 0:
        return x.new_zeros(x.shape), offset.new_zeros(offset.shape)
    grad_x, grad_offset = x.new_empty(x.shape), offset.new_empty(offset.shape)
    sum_dtype = torch.promote_types(x.dtype, torch.float32)
    sums = grad_x if sum_dtype == x.dtype else grad_x.new_empty(x.shape, dtype=sum_dtype)

    axes, groups = len(dims), offset.size(-1) // len(dims)
    branches = _contiguous_channels(_rows(grad, 2)).unbind(1)
    x_rows, offset_rows, grad_offset_rows = _contiguous_channels(_rows(x)), _rows(offset), _rows(grad_offset)
    constants = _constants(x, offset, groups, dims, [branches[0], x_rows, offset_rows, sums, grad_offset])
    for axis, dim in enumerate(dims):
        length, stride = _length_and_stride(x, dim)
        lines = len(x_rows) // length
        part = slice(axis * groups, (axis + 1) * groups)

        def grid(tile: dict[str, int], lines: int = lines) -> tuple[int]:
            return (triton.cdiv(lines, tile["BLOCK_L"]) * triton.cdiv(groups, tile["BLOCK_G"]),)

        with torch.cuda.device_of(x):
            _tuning.gradient_kernel_for(groups, x.size(-1) // groups)[grid](
                branches[axis],
                branches[-1] if len(branches) > axes else None,
                x_rows,
                offset_rows[:, part],
                sums,
                grad_x,
                grad_offset_rows[:, part],
                lines,
                length,
                stride,
                branches[axis].stride(0),
                x_rows.stride(0),
                *offset_rows.stride(),
                grad_offset_rows.stride(0),
                _tuning.size_class(lines),
                FIRST=axis == 0,
                ROUND=sums is not grad_x and axis == axes - 1,
                **constants,
            )
    return grad_x, grad_offset


def _rows(tensor: Tensor, last_axes: int = 1) -> Tensor:
    """``tensor`` with all but its last axes flattened into one, (N, ..); a view if the strides allow it."""
    return tensor.reshape(-1, *tensor.shape[-last_axes:])


def _contiguous_channels(rows: Tensor) -> Tensor:
    """``rows`` with channels next to each other in memory, as the kernels read them; a copy only if needed."""
    return rows if rows.stride(-1) == 1 else rows.contiguous()


def _length_and_stride(x: Tensor, dim: int) -> tuple[int, int]:
    """L and Q of an axis."""
    return x.size(dim), math.prod(x.shape[x.dim() + dim + 1 : -1])


def _constants(x: Tensor, offset: Tensor, groups: int, dims: Sequence[int], tensors: list[Tensor]) -> dict[str, object]:
    """The compile-time constants of both kernels, except for the tile."""
    share = x.size(-1) // groups
    position = position_dtype(offset.dtype, max(x.size(dim) for dim in dims))
    last_index = max(sum((n - 1) * step for n, step in zip(t.shape, t.stride(), strict=True)) for t in tensors)
    return {
        "G": groups,
        "S": share,
        "LOG_S": (share - 1).bit_length(),
        "POSITION": tl.float64 if position == torch.float64 else tl.float32,
        "WORK": tl.float64 if torch.float64 in (x.dtype, offset.dtype) else tl.float32,
        "INDEX": tl.int32 if last_index < 2**31 else tl.int64,
        "enable_fp_fusion": False,  # round as the reference does, for every tile
    }
