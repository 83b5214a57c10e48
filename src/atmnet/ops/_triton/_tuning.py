"""Chooses the tiles of the kernels: the fastest for each class of shapes, kept in triton's cache on disk.

Every tile gives the same bits, so the choice affects no result.
Shapes: S channels per share group, G groups.
"""

from functools import cache, partial

import triton
import triton.testing
from triton.runtime import Autotuner, JITFunction

from atmnet.ops._triton._kernels import gradient_kernel, sample_kernel

# (warps, elements per thread, channels) of a tile. The backward kernel walks a line in dependent steps: there a thread
# holds at most one vector, so that as many threads as possible run at the same time. On an H200, the first tile of each
# list was the fastest most often (docs/gpu.md).
_SAMPLE = [(1, 8, 64), (2, 8, 64), (4, 4, 64), (4, 8, 64)]
_GRADIENT = [(1, 4, 64), (1, 2, 64), (2, 4, 64), (4, 4, 64)]
_INTERPRETED = [(1, 1, 4)]  # the interpreter is not timed; a small tile gives tests several programs and ragged edges


@cache
def sample_kernel_for(groups: int, share: int, flat: bool) -> Autotuner:
    """The forward kernel. Its tiles cover a square patch of tokens, or a run of tokens if the grid is ``flat``."""
    configs = []
    for warps, elements, channels in _INTERPRETED if triton.knobs.runtime.interpret else _SAMPLE:
        tokens, block_g = _tile(32 * warps * elements, channels, groups, share)
        rows = 1 if flat else 1 << (tokens.bit_length() - 1) // 2
        blocks = {"BLOCK_H": rows, "BLOCK_W": tokens // rows, "BLOCK_G": block_g}
        configs.append(triton.Config(blocks, num_warps=warps, num_stages=1))
    return _autotuned(sample_kernel, configs, ["DIMS", "IDENTITY"])


@cache
def gradient_kernel_for(groups: int, share: int) -> Autotuner:
    """The backward kernel. Its tiles cover a few whole lines."""
    configs = []
    for warps, elements, channels in _INTERPRETED if triton.knobs.runtime.interpret else _GRADIENT:
        lines, block_g = _tile(32 * warps * min(elements, share), channels, groups, share)
        configs.append(triton.Config({"BLOCK_L": lines, "BLOCK_G": block_g}, num_warps=warps, num_stages=1))
    # A trial adds to the sums, which must be restored after it.
    return _autotuned(gradient_kernel, configs, ["FIRST", "ROUND"], restore_value=["sums"])


def size_class(size: int) -> int:
    """The class of a size: sizes within a factor of 8 use the same tile."""
    return size.bit_length() // 3


def _tile(elements: int, channels: int, groups: int, share: int) -> tuple[int, int]:
    """Tokens and share groups of a tile: powers of two, at least one of each even if a group is large."""
    share = triton.next_power_of_2(share)
    block_g = min(triton.next_power_of_2(groups), max(1, channels // share))
    return triton.next_power_of_2(max(1, elements // (block_g * share))), block_g


def _autotuned(
    kernel: JITFunction, configs: list[triton.Config], key: list[str], restore_value: list[str] | None = None
) -> Autotuner:
    trial = partial(triton.testing.do_bench, warmup=5, rep=25)  # milliseconds
    key = ["G", "S", "size_class", *key]
    return triton.autotune(configs, key, restore_value=restore_value, do_bench=trial, cache_results=True)(kernel)
