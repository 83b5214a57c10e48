"""atmnet_tiny against the published formulation and other timm models: ``python -m benchmarks.model``.

Inference at 224 pixels, with the same rules for every model: default memory format, the whole model cast to the dtype,
compiled by torch.compile for exactly this shape. The published formulation computes in float32 (on a GPU under
autocast), since its operator has no bfloat16. Then atmnet_tiny against only its own matrix products and convolutions.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from atmnet.benchmark import compare, measure_models, record_products
from benchmarks import script
from benchmarks.markdown import caption, grid, megabytes, times
from benchmarks.script import Settings
from benchmarks.workloads import BASELINES, PUBLISHED, Mode, build_workload

OURS = "atmnet_tiny"
SIDE = 224
#: Modes with batch sizes and models. There are fewer compiled ones, since compiling takes almost a minute for each.
Plan = list[tuple[Mode, list[int], tuple[str, ...]]]
PLAN: dict[str, Plan] = {
    "cpu": [
        (Mode(), [1, 8], BASELINES),
        (Mode(torch.bfloat16, compiled=True), [8], BASELINES[:2]),
        (Mode(compiled=True), [8], BASELINES[:2]),
        (Mode(torch.bfloat16), [8], BASELINES[:2]),
        (Mode(), [32], BASELINES),
    ],
    "cuda": [
        (Mode(), [1, 64], BASELINES),
        (Mode(torch.bfloat16), [1, 64], BASELINES),
        (Mode(torch.bfloat16, compiled=True), [64], BASELINES[:2]),
    ],
}
QUICK: Plan = [(Mode(), [2], ()), (Mode(torch.bfloat16), [2], ())]


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """A result for each mode and batch size."""
    ours, side = ("atmnet_nano", 32) if settings.quick else (OURS, SIDE)
    for mode, batches, baselines in QUICK if settings.quick else PLAN[settings.device.type]:
        names = {ours: (ours, mode), PUBLISHED: (PUBLISHED, mode)}
        if mode != Mode():
            names[f"{PUBLISHED}, {Mode()}"] = (PUBLISHED, Mode())
        names |= {name: (name, mode) for name in baselines}
        for batch in batches:
            torch.compiler.reset()  # otherwise the second size is compiled with dynamic shapes
            workloads = {
                label: build_workload(name, side, batch, its_mode, settings.device, ours)
                for label, (name, its_mode) in names.items()
            }
            models = measure_models(workloads, settings.rounds)
            first = workloads[ours]
            runs: dict[str, Callable[[], object]] = {
                "model": first,
                "products": record_products(first.model, first.images),
            }
            limit = compare(runs, settings.rounds, device=settings.device).ratio("model", "products")
            yield {"mode": str(mode), "batch": batch, "models": models, "over_products": limit._asdict()}


def table(record: dict[str, Any]) -> str:
    """A table for each mode: times as ratios to ours, for each batch size."""
    parts = []
    for mode in dict.fromkeys(result["mode"] for result in record["results"]):
        results = [result for result in record["results"] if result["mode"] == mode]
        names = list(results[0]["models"])
        last = results[-1]
        head = [
            "model",
            *(f"time, batch {result['batch']}" for result in results),
            f"images/s, batch {last['batch']}",
            f"peak MB, batch {last['batch']}",
        ]
        rows = []
        for name in names:
            row = last["models"][name]
            ratios = [times(result["models"][name]["ratio"]) if name != names[0] else "1" for result in results]
            rows.append([name, *ratios, f"{row['images_per_second']:.1f}", megabytes(row["peak_bytes"])])
        limits = ", ".join(f"{times(result['over_products'])} at batch {result['batch']}" for result in results)
        parts.append(
            f"**{mode}**\n\n{grid(head, rows)}\n\n"
            f"Time of {names[0]} divided by that of its own matrix products and convolutions alone: {limits}."
        )
    return "\n\n".join([*parts, caption(record)])


if __name__ == "__main__":
    script.run("model", __doc__, measure, table)
