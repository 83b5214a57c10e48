"""The kernels. Importing this module imports triton, so it is imported only at the first launch.

Shapes: L tokens along a sampled axis, Q tokens from one to the next along it, C channels, S channels per share group,
G = C / S groups, A sampled axes, K branches (A, or A + 1 with the tokens themselves).
Tiles: [T, G, S], that is tokens or lines, share groups, and channels of a group. The channels of a group come last
because they are contiguous in memory, so a tap of a group is one vector load.
"""

import triton
import triton.language as tl

# Arguments for whose values the kernels are not specialised. If triton knew that the stride from group to group is 1, a
# thread would load four offsets at once, and every tap computed from them would have to go through shared memory to the
# threads that hold the channels of those groups.
_NOT_SPECIALIZED = ["offset_column", "size_class"]


@triton.jit
def _taps(index, offset, length, POSITION: tl.constexpr):
    """The left tap of ``here + offset``, the weights of both taps, and whether each is inside."""
    # Beyond one token outside, both taps are zero, so the position is clamped to fit an integer. NaN fails every
    # comparison: it stays in the weights, and its tap is set to one that is outside.
    position = index.to(POSITION) + offset.to(POSITION)
    position = tl.where(position < -2.0, -2.0, position)
    position = tl.where(position > length, length, position)
    left = tl.floor(position)
    tap = tl.where(left == left, left, -2.0).to(index.dtype)
    fraction = position - left
    return tap, 1.0 - fraction, fraction, (tap >= 0) & (tap < length), (tap >= -1) & (tap + 1 < length)


@triton.jit(do_not_specialize=_NOT_SPECIALIZED)
def sample_kernel(
    x,  # (tokens, C)
    offset,  # (tokens, A * G)
    out,  # (tokens, K, C)
    lengths,  # L of each axis
    strides,  # Q of each axis
    height,  # the last two token axes
    width,
    x_row,  # elements from one token to the next
    offset_row,
    offset_column,  # elements from one group to the next
    size_class,  # for the autotuner
    G: tl.constexpr,
    S: tl.constexpr,
    LOG_S: tl.constexpr,
    DIMS: tl.constexpr,
    IDENTITY: tl.constexpr,
    POSITION: tl.constexpr,
    WORK: tl.constexpr,
    INDEX: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_W: tl.constexpr,
    BLOCK_G: tl.constexpr,
):
    """Sample a patch of tokens along all axes: x and offsets are loaded once; a token's K * C outputs are contiguous.

    A patch is better than a run of a row: the tokens that it reads along either axis stay in one core's cache.
    """
    A: tl.constexpr = len(DIMS)
    C: tl.constexpr = G * S
    BLOCK_S: tl.constexpr = 2**LOG_S
    blocks, down, across = tl.cdiv(G, BLOCK_G), tl.cdiv(height, BLOCK_H), tl.cdiv(width, BLOCK_W)
    patch, block = tl.program_id(0) // blocks, tl.program_id(0) % blocks
    plane = (patch // across // down).to(INDEX)
    n = tl.arange(0, BLOCK_H * BLOCK_W)
    h = patch // across % down * BLOCK_H + n // BLOCK_W
    w = patch % across * BLOCK_W + n % BLOCK_W
    token = (plane * height + h) * width + w
    g = block * BLOCK_G + tl.arange(0, BLOCK_G)
    s = tl.arange(0, BLOCK_S)
    c = (g * S)[None, :, None] + s[None, None, :]

    group_mask = ((h < height) & (w < width))[:, None] & (g < G)[None, :]
    channel_mask = group_mask[:, :, None] & (s < S)[None, None, :]
    out_token = out + (token * ((A + IDENTITY) * C))[:, None, None] + c
    for k in tl.static_range(A):
        column = (k * G + g).to(INDEX) * offset_column
        shift = tl.load(offset + (token * offset_row)[:, None] + column[None, :], group_mask, other=0.0)
        if DIMS[k] == -2:
            index = w.to(INDEX)[:, None]
        elif DIMS[k] == -3:
            index = h.to(INDEX)[:, None]
        else:
            index = (token // strides[k] % lengths[k])[:, None]
        tap, near, far, left_in, right_in = _taps(index, shift, lengths[k], POSITION)
        source = token[:, None] + (tap - index) * strides[k]
        left = x + (source * x_row)[:, :, None] + c
        right = x + ((source + strides[k]) * x_row)[:, :, None] + c
        low = tl.load(left, left_in[:, :, None] & channel_mask, other=0.0).to(WORK)
        high = tl.load(right, right_in[:, :, None] & channel_mask, other=0.0).to(WORK)
        mixed = near.to(WORK)[:, :, None] * low + far.to(WORK)[:, :, None] * high
        tl.store(out_token + k * C, mixed.to(out.dtype.element_ty), channel_mask)
    if IDENTITY:
        tl.store(out_token + A * C, tl.load(x + (token * x_row)[:, None, None] + c, channel_mask), channel_mask)


@triton.jit
def _first_token(line, length, stride):
    """Index of the first token of a line."""
    return line // stride * stride * length + line % stride


@triton.jit
def _copy(source, source_row, target, target_row, start, lines, length, stride, c, in_group, BLOCK_L: tl.constexpr):
    """Copy channels ``c`` of the lines from ``start`` on, eight tokens of each line at a time; without a source, fill
    with zeros."""
    n = tl.arange(0, BLOCK_L * 8)
    line, step = start + n // 8, (n % 8).to(start.dtype)
    for i in range(0, length, 8):
        token = _first_token(line, length, stride) + (i + step) * stride
        mask = ((line < lines) & (i + step < length))[:, None, None] & in_group
        value = tl.zeros(mask.shape, target.dtype.element_ty)
        if source is not None:
            value = tl.load(source + (token * source_row)[:, None, None] + c, mask).to(target.dtype.element_ty)
        tl.store(target + (token * target_row)[:, None, None] + c, value, mask)


@triton.jit(do_not_specialize=_NOT_SPECIALIZED)
def gradient_kernel(
    grad,  # (tokens, C), for this axis
    grad_identity,  # (tokens, C) or None
    x,  # (tokens, C)
    offset,  # (tokens, G), for this axis
    sums,  # (tokens, C), the gradient of x so far, in float32 or wider
    grad_x,  # (tokens, C)
    grad_offset,  # (tokens, G), for this axis
    lines,  # tokens / L
    length,  # L
    stride,  # Q
    grad_row,  # elements from one token to the next
    x_row,
    offset_row,
    offset_column,  # elements from one group to the next
    grad_offset_row,
    size_class,  # for the autotuner
    G: tl.constexpr,
    S: tl.constexpr,
    LOG_S: tl.constexpr,
    FIRST: tl.constexpr,
    ROUND: tl.constexpr,
    POSITION: tl.constexpr,
    WORK: tl.constexpr,
    INDEX: tl.constexpr,
    BLOCK_L: tl.constexpr,
    BLOCK_G: tl.constexpr,
):
    """Gradients for one axis: a program walks along whole lines and adds each query's gradient to their sums.

    Nothing else writes to those sums, and the additions are in the order of the queries: the kernel needs no atomics
    and always gives the same bits. The FIRST axis initialises the sums; the last one ROUNDs them to the dtype of x's
    gradient if they are wider.
    """
    C: tl.constexpr = G * S
    BLOCK_S: tl.constexpr = 2**LOG_S
    start = (tl.program_id(0) // tl.cdiv(G, BLOCK_G)).to(INDEX) * BLOCK_L
    line = start + tl.arange(0, BLOCK_L)
    g = tl.program_id(0) % tl.cdiv(G, BLOCK_G) * BLOCK_G + tl.arange(0, BLOCK_G)
    s = tl.arange(0, BLOCK_S)
    c = (g * S)[None, :, None] + s[None, None, :]
    in_group = (g < G)[None, :, None] & (s < S)[None, None, :]
    group_mask = (line < lines)[:, None] & (g < G)[None, :]
    channel_mask = (line < lines)[:, None, None] & in_group

    if FIRST:
        _copy(grad_identity, grad_row, sums, C, start, lines, length, stride, c, in_group, BLOCK_L)
        tl.debug_barrier()

    # The next query's gradient and offset are loaded while this query is computed.
    token = _first_token(line, length, stride)
    columns = offset + (g.to(INDEX) * offset_column)[None, :]
    upstream = tl.load(grad + (token * grad_row)[:, None, None] + c, channel_mask, other=0.0)
    shift = tl.load(columns + (token * offset_row)[:, None], group_mask, other=0.0)
    for i in range(length):
        index = tl.zeros([1, 1], INDEX) + i
        next_token, has_next = token + stride, index + 1 < length
        next_upstream = tl.load(
            grad + (next_token * grad_row)[:, None, None] + c, channel_mask & has_next[:, :, None], other=0.0
        )
        next_shift = tl.load(columns + (next_token * offset_row)[:, None], group_mask & has_next, other=0.0)

        tap, near, far, left_in, right_in = _taps(index, shift, length, POSITION)
        left_in, right_in = left_in[:, :, None] & channel_mask, right_in[:, :, None] & channel_mask
        left = token[:, None] + (tap - index) * stride
        right = left + stride
        low = tl.load(x + (left * x_row)[:, :, None] + c, left_in, other=0.0).to(WORK)
        high = tl.load(x + (right * x_row)[:, :, None] + c, right_in, other=0.0).to(WORK)
        low_sum = tl.load(sums + (left * C)[:, :, None] + c, left_in, other=0.0)
        high_sum = tl.load(sums + (right * C)[:, :, None] + c, right_in, other=0.0)

        u = upstream.to(WORK)
        low_sum += (near.to(WORK)[:, :, None] * u).to(low_sum.dtype)
        high_sum += (far.to(WORK)[:, :, None] * u).to(high_sum.dtype)
        tl.store(sums + (left * C)[:, :, None] + c, low_sum, left_in)
        tl.store(sums + (right * C)[:, :, None] + c, high_sum, right_in)

        # Add pairwise: the order of additions in tl.sum depends on the tile.
        slope = tl.where(left_in | right_in, u * (high - low), 0.0)
        for k in tl.static_range(LOG_S):
            even, odd = tl.split(slope.reshape(BLOCK_L, BLOCK_G, BLOCK_S >> (k + 1), 2))
            slope = even + odd
        slope = slope.reshape(BLOCK_L, BLOCK_G).to(grad_offset.dtype.element_ty)
        tl.store(grad_offset + (token * grad_offset_row)[:, None] + g[None, :], slope, group_mask)

        token, upstream, shift = next_token, next_upstream, next_shift
        tl.debug_barrier()  # another thread may load in the next step what this one has stored

    if ROUND:
        _copy(sums, C, grad_x, C, start, lines, length, stride, c, in_group, BLOCK_L)
