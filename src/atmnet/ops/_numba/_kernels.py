"""The loops that sample tokens along an axis, and those that compute the gradients.

Shapes: x is (P, L, Q, C) tokens, sampled along L. C = G * S channels: the S channels of a share group have the same
offset and are read as vectors of V lanes. Strides are from token to token, in elements; the channels of a token are
contiguous.

A kernel takes the address of an array of integers: a counter that starts at 0, then the arguments that it unpacks. All
threads get the same array and take chunks of the work by the counter until none is left. No two chunks write to the
same place, so the result does not depend on which thread computes a chunk.
"""

import numpy as np
from numba import njit

from atmnet.ops._numba._vectors import address, array, fetch_increment, lane_sum, load, scratch, store, unpack, zeros

_MAX_LANES = 16
_MAX_BLOCK = 4096  # channels that are computed together; they are on the stack of a thread, which may be small


@njit(error_model="numpy")
def _locate_taps(offset, first, groups, i, length, left, fraction):
    """Write each group's left tap (-2 to L) and the position's distance from it; return whether all taps are inside.

    As in the reference, clamping changes no value. A NaN position gets tap -2, which is outside, and a NaN fraction.
    """
    low, high, index = offset.dtype.type(-2), offset.dtype.type(length), offset.dtype.type(i)
    inside = True
    for g in range(groups):
        position = index + offset[first + g]
        position = low if position < low else position
        position = high if position > high else position
        floor = np.floor(position)
        fraction[g] = position - floor
        left[g] = np.int32(floor if floor == floor else low)
        inside &= (floor >= 0) & (floor < length - 1)
    return inside


def _constants(x_dtype, offset_dtype, S):
    """Dtype of the computation, by name and as numpy's; lanes of a vector; number of groups in a block."""
    compute = "float64" if "float64" in (x_dtype, offset_dtype) else "float32"
    return compute, getattr(np, compute), min(S & -S, _MAX_LANES), max(1, min(64, _MAX_BLOCK // S))


@njit
def _copy(source, source_start, source_dtype, target, target_start, target_dtype, count, V, compute):
    """Copy ``count`` elements, a multiple of V, to an array that may be of another dtype."""
    whole = count // _MAX_LANES * _MAX_LANES
    for c in range(0, whole, _MAX_LANES):
        store(target, target_start + c, target_dtype, load(source, source_start + c, source_dtype, _MAX_LANES, compute))
    for c in range(whole, count, V):
        store(target, target_start + c, target_dtype, load(source, source_start + c, source_dtype, V, compute))


def forward(x_dtype, offset_dtype, S):
    """out = (1 - f) x[j] + f x[j + 1] with j = floor(position), f = position - j; taps outside 0 .. L-1 are skipped.

    The samples along the A axes lie side by side, followed by x itself if ``identity``. A chunk is a run of tokens.
    """
    compute, scalar, V, group_block = _constants(x_dtype, offset_dtype, S)
    piece, must_round = min(S, _MAX_BLOCK), x_dtype != compute
    block_channels = group_block * piece

    def kernel(arguments):
        chunks, x, offset, out, tokens, G, A, identity, x_stride, offset_stride, out_stride = unpack(arguments, 11)
        C = G * S
        axes = array(address(arguments, 12), 2 * A, "int64")  # L and Q of each axis
        x = array(x, (tokens - 1) * x_stride + C, x_dtype)
        out = array(out, (tokens - 1) * out_stride + (A + identity) * C, x_dtype)
        offset = array(offset, (tokens - 1) * offset_stride + A * G, offset_dtype)
        left, fraction = scratch(group_block, "int32"), scratch(group_block, offset_dtype)
        row, zero = scratch(block_channels, compute), zeros(V, compute)
        chunk = fetch_increment(arguments)
        while chunk < chunks:
            for t in range(tokens * chunk // chunks, tokens * (chunk + 1) // chunks):
                for k in range(A):
                    L, Q = axes[2 * k], axes[2 * k + 1]
                    i, step = t // Q % L, Q * x_stride
                    for first in range(0, G, group_block):
                        groups = min(group_block, G - first)
                        inside = _locate_taps(offset, t * offset_stride + k * G + first, groups, i, L, left, fraction)
                        source = t * x_stride - i * step + first * S
                        target = t * out_stride + k * C + first * S
                        for begin in range(0, S, piece):  # once, unless a single group is wider than a block
                            end = min(begin + piece, S)
                            for g in range(groups):
                                j, f = np.int64(left[g]), scalar(fraction[g])
                                for c in range(g * S + begin, g * S + end, V):
                                    tap = source + j * step + c
                                    a = load(x, tap, x_dtype, V, compute) if inside or 0 <= j < L else zero
                                    b = load(x, tap + step, x_dtype, V, compute) if inside or -1 <= j < L - 1 else zero
                                    value = (scalar(1) - f) * a + f * b
                                    if must_round:
                                        store(row, c - begin, compute, value)
                                    else:
                                        store(out, target + c, x_dtype, value)
                            if must_round:  # rounding short vectors is slow, so it is done for all groups together
                                count = groups * (end - begin)
                                _copy(row, 0, compute, out, target + begin, x_dtype, count, V, compute)
                if identity != 0:
                    _copy(x, t * x_stride, x_dtype, out, t * out_stride + A * C, x_dtype, C, V, compute)
            chunk = fetch_increment(arguments)

    return kernel


def backward(x_dtype, offset_dtype, S):
    """grad_x[j] += (1 - f) d, grad_x[j + 1] += f d, grad_offset = sum over S of d (x[j + 1] - x[j]), where d = grad.

    A chunk is a run of the P * Q lines and one of ``parts`` parts of the groups, so no two chunks write to the same
    place. grad_x is of the dtype of the computation.
    """
    compute, scalar, V, group_block = _constants(x_dtype, offset_dtype, S)

    def kernel(arguments):
        (
            chunks, x, offset, grad, grad_x, grad_offset, P, L, Q, G, parts,
            x_stride, offset_stride, grad_stride, grad_x_stride, grad_offset_stride,
        ) = unpack(arguments, 16)  # fmt: skip
        tokens, lines, runs, C = P * L * Q, P * Q, chunks // parts, G * S
        x = array(x, (tokens - 1) * x_stride + C, x_dtype)
        grad = array(grad, (tokens - 1) * grad_stride + C, x_dtype)
        grad_x = array(grad_x, (tokens - 1) * grad_x_stride + C, compute)
        offset = array(offset, (tokens - 1) * offset_stride + G, offset_dtype)
        grad_offset = array(grad_offset, (tokens - 1) * grad_offset_stride + G, offset_dtype)
        left, fraction = scratch(group_block, "int32"), scratch(group_block, offset_dtype)
        step, grad_step, zero = Q * x_stride, Q * grad_x_stride, zeros(V, compute)
        chunk = fetch_increment(arguments)
        while chunk < chunks:
            run, part = chunk // parts, chunk % parts
            line, line_end = lines * run // runs, lines * (run + 1) // runs
            g_start, g_end = G * part // parts, G * (part + 1) // parts
            while line < line_end:  # up to Q neighbouring lines at a time: their tokens are neighbours in memory
                p, q = line // Q, line % Q
                width = min(Q - q, line_end - line)
                line += width
                for i in range(L):
                    start = (p * L + i) * Q + q
                    for t in range(start, start + width):
                        column, grad_column = t * x_stride - i * step, t * grad_x_stride - i * grad_step
                        for first in range(g_start, g_end, group_block):
                            groups = min(group_block, g_end - first)
                            inside = _locate_taps(offset, t * offset_stride + first, groups, i, L, left, fraction)
                            for g in range(groups):
                                j, f = np.int64(left[g]), scalar(fraction[g])
                                slope = 0.0
                                for c in range((first + g) * S, (first + g + 1) * S, V):
                                    d = load(grad, t * grad_stride + c, x_dtype, V, compute)
                                    tap, target = column + j * step + c, grad_column + j * grad_step + c
                                    a, b = zero, zero
                                    if inside or 0 <= j < L:
                                        a = load(x, tap, x_dtype, V, compute)
                                        before = load(grad_x, target, compute, V, compute)
                                        store(grad_x, target, compute, before + (scalar(1) - f) * d)
                                    if inside or -1 <= j < L - 1:
                                        b = load(x, tap + step, x_dtype, V, compute)
                                        before = load(grad_x, target + grad_step, compute, V, compute)
                                        store(grad_x, target + grad_step, compute, before + f * d)
                                    slope += np.float64(lane_sum(d * (b - a)))
                                grad_offset[t * grad_offset_stride + first + g] = slope
            chunk = fetch_increment(arguments)

    return kernel
