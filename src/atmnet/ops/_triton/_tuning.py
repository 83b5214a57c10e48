"""Tiles of the kernels: the fastest is found once per class of shapes, and kept in triton's cache on disk.

Every tile gives the same bits, so the choice shows in no result.
Shapes: S channels per share group, G groups.
"""

from functools import cache, partial
from typing import Any

import triton
import triton.testing

from atmnet.ops._triton._kernels import gradient_kernel, sample_kernel

# Warps, elements per thread, and channels of a tile. Walking a line is a chain of dependent steps: there a thread holds
# one vector at most, for as many threads as possible to be under way at once.
# The first of each list won most often on an H200 (docs/gpu.md).
_SAMPLE = [(1, 8, 64), (2, 8, 64), (4, 4, 64), (4, 8, 64)]
_GRADIENT = [(1, 4, 64), (1, 2, 64), (2, 4, 64), (4, 4, 64)]
_INTERPRETED = [(1, 1, 4)]  # cannot be timed; small, for there to be several programs and ragged edges in a test


@cache
def sampler(groups: int, share: int, flat: bool) -> Any:
    """The forward kernel; its tiles cover a square patch of tokens, or a run where the grid of tokens is flat."""
    configs = []
    for warps, elements, channels in _INTERPRETED if triton.knobs.runtime.interpret else _SAMPLE:
        tokens, block_g = _tile(32 * warps * elements, channels, groups, share)
        rows = 1 if flat else 1 << (tokens.bit_length() - 1) // 2
        blocks = {"BLOCK_H": rows, "BLOCK_W": tokens // rows, "BLOCK_G": block_g}
        configs.append(triton.Config(blocks, num_warps=warps, num_stages=1))
    return _tuned(sample_kernel, configs, ["DIMS", "IDENTITY"])


@cache
def gradient(groups: int, share: int) -> Any:
    """The backward kernel; its tiles cover a few whole lines."""
    configs = []
    for warps, elements, channels in _INTERPRETED if triton.knobs.runtime.interpret else _GRADIENT:
        lines, block_g = _tile(32 * warps * min(elements, share), channels, groups, share)
        configs.append(triton.Config({"BLOCK_L": lines, "BLOCK_G": block_g}, num_warps=warps, num_stages=1))
    # What a trial adds to the sums must not stay there.
    return _tuned(gradient_kernel, configs, ["FIRST", "ROUND"], restore_value=["sums"])


def scale(size: int) -> int:
    """The class of a size: those within a factor of 8 share a tile."""
    return size.bit_length() // 3


def _tile(elements: int, channels: int, groups: int, share: int) -> tuple[int, int]:
    """Tokens and share groups of a tile: powers of two, at least one of each, however large a group is."""
    share = triton.next_power_of_2(share)
    block_g = min(triton.next_power_of_2(groups), max(1, channels // share))
    return triton.next_power_of_2(max(1, elements // (block_g * share))), block_g


def _tuned(kernel: Any, configs: list[triton.Config], key: list[str], **options: Any) -> Any:
    trial = partial(triton.testing.do_bench, warmup=5, rep=25)  # milliseconds
    return triton.autotune(configs, ["G", "S", "scale", *key], do_bench=trial, cache_results=True, **options)(kernel)
