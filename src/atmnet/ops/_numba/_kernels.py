"""The loops: tokens sampled along one axis, and the gradients of that.

Shapes: x is (P, L, Q, C) tokens, sampled along L; C = G * S channels, the S of a group share an offset and are read as
vectors of V lanes. Strides are between tokens, in elements; the channels of a token are contiguous.

A kernel takes the address of an array of integers: a counter that starts at 0, then what the kernel unpacks. All
threads are given the same array and take chunks of the work by the counter until none is left. Every chunk owns what it
writes, so the result does not depend on who does it.
"""

import numpy as np
from numba import njit

from atmnet.ops._numba._vectors import address, array, load, scratch, store, ticket, total, unpack, zeros

_LANES = 16  # of the widest vectors


@njit(error_model="numpy")
def _find(offset, first, groups, i, length, left, fraction):
    """The left tap of each group, from -2 to L, and how far to its right the position is; whether all are inside.

    As in the reference, clamping changes no value; NaN gets tap -2, where nothing is, and stays NaN in the fraction.
    """
    low, high, here = offset.dtype.type(-2), offset.dtype.type(length), offset.dtype.type(i)
    inside = True
    for g in range(groups):
        position = here + offset[first + g]
        position = low if position < low else position
        position = high if position > high else position
        floor = np.floor(position)
        fraction[g] = position - floor
        left[g] = np.int32(floor if floor == floor else low)
        inside &= (floor >= 0) & (floor < length - 1)
    return inside


def _constants(stored, offsets, S):
    """What is computed in, by name and as numpy's; lanes of a vector; groups whose places are found at once."""
    wide = "float64" if "float64" in (stored, offsets) else "float32"
    return wide, getattr(np, wide), min(S & -S, _LANES), max(1, min(64, 4096 // S))


@njit
def _copy(source, start, stored, target, where, wanted, count, V, wide):
    """``count`` elements, a multiple of V, from one array to another that may hold another type."""
    whole = count // _LANES * _LANES
    for c in range(0, whole, _LANES):
        store(target, where + c, wanted, load(source, start + c, stored, _LANES, wide))
    for c in range(whole, count, V):
        store(target, where + c, wanted, load(source, start + c, stored, V, wide))


def forward(stored, offsets, S):
    """out = (1 - f) x[j] + f x[j + 1] with j = floor(position), f = position - j; taps outside 0 .. L-1 are skipped.

    For each of A axes, side by side, and x itself behind if ``identity``. A chunk is a run of tokens.
    """
    wide, scalar, V, at_once = _constants(stored, offsets, S)
    values_at_once, rounded = at_once * S, stored != wide

    def kernel(arguments):
        chunks, x, offset, out, tokens, G, A, identity, x_stride, offset_stride, out_stride = unpack(arguments, 11)
        C = G * S
        axes = array(address(arguments, 12), 2 * A, "int64")  # L and Q of each
        x = array(x, (tokens - 1) * x_stride + C, stored)
        out = array(out, (tokens - 1) * out_stride + (A + identity) * C, stored)
        offset = array(offset, (tokens - 1) * offset_stride + A * G, offsets)
        left, fraction = scratch(at_once, "int32"), scratch(at_once, offsets)
        row, nothing = scratch(values_at_once, wide), zeros(V, wide)
        chunk = ticket(arguments)
        while chunk < chunks:
            for t in range(tokens * chunk // chunks, tokens * (chunk + 1) // chunks):
                for k in range(A):
                    L, Q = axes[2 * k], axes[2 * k + 1]
                    i, step = t // Q % L, Q * x_stride
                    for first in range(0, G, at_once):
                        groups = min(at_once, G - first)
                        inside = _find(offset, t * offset_stride + k * G + first, groups, i, L, left, fraction)
                        source = t * x_stride - i * step + first * S
                        target = t * out_stride + k * C + first * S
                        for g in range(groups):
                            j, f = np.int64(left[g]), scalar(fraction[g])
                            for c in range(g * S, (g + 1) * S, V):
                                tap = source + j * step + c
                                a = load(x, tap, stored, V, wide) if inside or 0 <= j < L else nothing
                                b = load(x, tap + step, stored, V, wide) if inside or -1 <= j < L - 1 else nothing
                                value = (scalar(1) - f) * a + f * b
                                if rounded:
                                    store(row, c, wide, value)
                                else:
                                    store(out, target + c, stored, value)
                        if rounded:  # to round is dear in short vectors, so all of a row at once
                            _copy(row, 0, wide, out, target, stored, groups * S, V, wide)
                if identity != 0:
                    _copy(x, t * x_stride, stored, out, t * out_stride + A * C, stored, C, V, wide)
            chunk = ticket(arguments)

    return kernel


def backward(stored, offsets, S):
    """Adds (1 - f) d and f d to grad_x at j and j + 1; grad_offset = sum over S of d (x[j + 1] - x[j]); d = grad.

    A chunk is a run of the P * Q lines and one of ``parts`` of the groups: no two chunks write to one place. grad_x is
    of the type that is computed in.
    """
    wide, scalar, V, at_once = _constants(stored, offsets, S)

    def kernel(arguments):
        (
            chunks, x, offset, grad, grad_x, grad_offset, P, L, Q, G, parts,
            x_stride, offset_stride, grad_stride, grad_x_stride, grad_offset_stride,
        ) = unpack(arguments, 16)  # fmt: skip
        tokens, lines, runs, C = P * L * Q, P * Q, chunks // parts, G * S
        x = array(x, (tokens - 1) * x_stride + C, stored)
        grad = array(grad, (tokens - 1) * grad_stride + C, stored)
        grad_x = array(grad_x, (tokens - 1) * grad_x_stride + C, wide)
        offset = array(offset, (tokens - 1) * offset_stride + G, offsets)
        grad_offset = array(grad_offset, (tokens - 1) * grad_offset_stride + G, offsets)
        left, fraction = scratch(at_once, "int32"), scratch(at_once, offsets)
        step, grad_step, nothing = Q * x_stride, Q * grad_x_stride, zeros(V, wide)
        chunk = ticket(arguments)
        while chunk < chunks:
            run, part = chunk // parts, chunk % parts
            line, line_end = lines * run // runs, lines * (run + 1) // runs
            g_start, g_end = G * part // parts, G * (part + 1) // parts
            while line < line_end:  # neighbouring lines together: walking along L, their tokens are neighbours
                p, q = line // Q, line % Q
                width = min(Q - q, line_end - line)
                line += width
                for i in range(L):
                    start = (p * L + i) * Q + q
                    for t in range(start, start + width):
                        column, grad_column = t * x_stride - i * step, t * grad_x_stride - i * grad_step
                        for first in range(g_start, g_end, at_once):
                            groups = min(at_once, g_end - first)
                            inside = _find(offset, t * offset_stride + first, groups, i, L, left, fraction)
                            for g in range(groups):
                                j, f = np.int64(left[g]), scalar(fraction[g])
                                slope = 0.0
                                for c in range((first + g) * S, (first + g + 1) * S, V):
                                    d = load(grad, t * grad_stride + c, stored, V, wide)
                                    tap, target = column + j * step + c, grad_column + j * grad_step + c
                                    a, b = nothing, nothing
                                    if inside or 0 <= j < L:
                                        a = load(x, tap, stored, V, wide)
                                        before = load(grad_x, target, wide, V, wide)
                                        store(grad_x, target, wide, before + (scalar(1) - f) * d)
                                    if inside or -1 <= j < L - 1:
                                        b = load(x, tap + step, stored, V, wide)
                                        before = load(grad_x, target + grad_step, wide, V, wide)
                                        store(grad_x, target + grad_step, wide, before + f * d)
                                    slope += np.float64(total(d * (b - a)))
                                grad_offset[t * grad_offset_stride + first + g] = slope
            chunk = ticket(arguments)

    return kernel
