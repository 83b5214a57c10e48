"""A single image, called from Python and in a CUDA graph: ``python -m benchmarks.launches --device cuda``.

The difference is the time in which Python and PyTorch launch kernels, which at this size decides over an eager model.
On a CPU, where there are no graphs, both are the same, which tests this script and measures nothing.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from atmnet.benchmark import compare
from benchmarks import script
from benchmarks.kernels import replayed
from benchmarks.markdown import caption, grid, times
from benchmarks.script import Settings
from benchmarks.workloads import BASELINES, PUBLISHED, Mode, build_workload

NAMES = ["atmnet_tiny", PUBLISHED, *BASELINES[:2]]


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """A result for each dtype."""
    names, side = (["atmnet_nano", PUBLISHED], 32) if settings.quick else (NAMES, 224)
    for dtype in (torch.float32, torch.bfloat16):
        runs: dict[str, dict[str, Callable[[], object]]] = {"called": {}, "replayed": {}}
        for name in names:
            workload = build_workload(name, side, 1, Mode(dtype), settings.device, names[0])
            runs["called"][name] = workload
            runs["replayed"][name] = replayed(workload, settings.device)
        models: dict[str, dict[str, Any]] = {name: {} for name in names}
        for way, of_models in runs.items():
            comparison = compare(of_models, settings.rounds, device=settings.device)
            for name in names:
                ratio = comparison.ratio(name, names[0])._asdict()
                models[name][way] = {"seconds": comparison.seconds(name).median, "ratio": ratio}
        yield {"dtype": str(dtype).removeprefix("torch."), "models": models}


def table(record: dict[str, Any]) -> str:
    """A row for each dtype and model."""
    head = ["dtype", "model", "ms called from Python", "relative", "ms in a CUDA graph", "relative"]
    rows = []
    for result in record["results"]:
        for name, ways in result["models"].items():
            row = [result["dtype"], name]
            for way in ("called", "replayed"):
                row += [f"{1e3 * ways[way]['seconds']:.2f}", times(ways[way]["ratio"])]
            rows.append(row)
    return f"{grid(head, rows)}\n\n{caption(record)}"


if __name__ == "__main__":
    script.run("launches", __doc__, measure, table)
