"""A training step, forward, backward and AdamW, at 224 pixels and batch 8: ``python -m benchmarks.step``.

On a CPU in float32, eager; on a GPU under bfloat16 autocast, eager and compiled. Saved activations are what autograd
keeps for the backward pass.
"""

from collections.abc import Iterator
from typing import Any

import torch

from atmnet.benchmark import measure_models
from benchmarks import script
from benchmarks.markdown import caption, grid, megabytes, times
from benchmarks.script import Settings
from benchmarks.workloads import PUBLISHED, Mode, build_workload

MODES = {
    "cpu": [Mode(train=True)],
    "cuda": [Mode(torch.bfloat16, train=True), Mode(torch.bfloat16, compiled=True, train=True)],
}
BATCH = {"cpu": 8, "cuda": 64}
NAMES = ["atmnet_tiny", PUBLISHED, "swin_tiny_patch4_window7_224", "convnext_tiny"]


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """A result for each mode."""
    kind = settings.device.type
    names, side, batch = (["atmnet_nano", PUBLISHED], 32, 2) if settings.quick else (NAMES, 224, BATCH[kind])
    for mode in MODES[kind]:
        torch.compiler.reset()
        workloads = {name: build_workload(name, side, batch, mode, settings.device, names[0]) for name in names}
        yield {"mode": str(mode), "batch": batch, "models": measure_models(workloads, settings.rounds)}


def table(record: dict[str, Any]) -> str:
    """A row for each mode and model."""
    rows = []
    for result in record["results"]:
        first = next(iter(result["models"]))
        for name, row in result["models"].items():
            ratio = times(row["ratio"]) if name != first else "1"
            memory = [megabytes(row[key]) for key in ("saved_bytes", "peak_bytes")]
            rows.append([result["mode"], name, ratio, f"{row['images_per_second']:.1f}", *memory])
    return f"{grid(['mode', 'model', 'time', 'images/s', 'saved MB', 'peak MB'], rows)}\n\n{caption(record)}"


if __name__ == "__main__":
    script.run("step", __doc__, measure, table)
