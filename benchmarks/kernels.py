"""The GPU kernels by themselves, as shares of the copy bandwidth: ``python -m benchmarks.kernels --device cuda``.

Both axes and the tokens themselves in one call, as an ATM layer samples. On a GPU, kernels and copies are replayed in a
CUDA graph, so that no launch counts, and a call from Python is timed beside it. On a CPU, triton's interpreter runs the
kernels (``TRITON_INTERPRET=1``), which tests this script and measures nothing.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from atmnet.benchmark import compare
from atmnet.ops import _triton
from benchmarks import script
from benchmarks.bandwidth import compare_with_copy, total_bytes
from benchmarks.markdown import grid, place
from benchmarks.script import Settings

#: (B, H, W, C) tokens and S channels per share group: the stages, and few long lines.
SHAPES = [
    ((256, 56, 56, 64), 2),
    ((256, 28, 28, 128), 4),
    ((256, 14, 14, 320), 4),
    ((256, 7, 7, 512), 8),
    ((1, 200, 200, 64), 2),
    ((16, 200, 200, 64), 2),
]
DIMS = (-2, -3)


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """A result for each shape and dtype."""
    for shape, share in [((1, 3, 4, 4), 2)] if settings.quick else SHAPES:
        for dtype in (torch.float32, torch.bfloat16):
            name = str(dtype).removeprefix("torch.")
            yield {"tokens": shape, "share": share, "dtype": name, **_measure(shape, share, dtype, settings)}


def _measure(shape: tuple[int, ...], share: int, dtype: torch.dtype, settings: Settings) -> dict[str, Any]:
    tokens = torch.randn(shape, device=settings.device).to(dtype)
    offset = 3 * torch.randn(*shape[:-1], len(DIMS) * shape[-1] // share, device=settings.device)
    upstream = torch.randn(*shape[:-1], len(DIMS) + 1, shape[-1], device=settings.device).to(dtype)
    forward = partial(_triton.sample, tokens, offset, DIMS, True)
    backward = partial(_triton.sample_backward, upstream, tokens, offset, DIMS)
    inputs = total_bytes([tokens, offset])
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "forward": (forward, inputs + total_bytes([upstream])),
        "backward": (backward, 2 * inputs + total_bytes([upstream])),
    }
    results = {}
    for way, (run, num_bytes) in ways.items():
        alone = replayed(run, settings.device)
        results[way] = compare_with_copy(alone, num_bytes, settings, partial(replayed, device=settings.device))
        times = compare({"call": run, "alone": alone}, settings.rounds, device=settings.device)
        results[way]["microseconds"] = {name: 1e6 * times.seconds(name).median for name in ("call", "alone")}
    return results


def replayed(run: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """``run`` in a CUDA graph; on a CPU, ``run`` itself."""
    if device.type != "cuda":
        return run
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):  # tiles are chosen by timing, which a capture does not allow
            run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def table(record: dict[str, Any]) -> str:
    """A row for each shape and dtype."""
    head = ["tokens", "S", "dtype"]
    for way in ("forward", "backward"):
        head += [f"{way}, % of copy bandwidth", "µs alone", "µs called from Python"]
    rows = []
    for result in record["results"]:
        row = ["x".join(map(str, result["tokens"])), str(result["share"]), result["dtype"]]
        for way in ("forward", "backward"):
            times: dict[str, float] = result[way]["microseconds"]
            share = 100 * result[way]["share"]["median"]
            row += [f"{share:.0f}", f"{times['alone']:.0f}", f"{times['call']:.0f}"]
        rows.append(row)
    return f"{grid(head, rows)}\n\n*{place(record)}. Medians of {record['rounds']} interleaved rounds.*"


if __name__ == "__main__":
    script.run("kernels", __doc__, measure, table)
