"""Time and peak memory for each token as images grow: ``python -m benchmarks.growth``.

Batch 1 on a CPU, 16 on a GPU. Inference in float32, eager. A token is 4x4 pixels, as in the first stage, for every
model.
"""

from collections.abc import Iterator
from typing import Any

from atmnet.benchmark import compare
from benchmarks import script
from benchmarks.markdown import caption, grid
from benchmarks.script import Settings
from benchmarks.workloads import PUBLISHED, Mode, build_workload

SIDES = [224, 320, 448, 640, 1024]
BATCH = {"cpu": 1, "cuda": 16}
NAMES = ["atmnet_tiny", PUBLISHED, "swin_tiny_patch4_window7_224", "deit_small_patch16_224"]


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """A result for each model, with a row for each size."""
    names, sides = (["atmnet_nano", PUBLISHED], [32, 64]) if settings.quick else (NAMES, SIDES)
    batch = 1 if settings.quick else BATCH[settings.device.type]
    for name in names:
        runs = {str(side): build_workload(name, side, batch, Mode(), settings.device, names[0]) for side in sides}
        comparison = compare(runs, settings.rounds, device=settings.device)
        rows = []
        for side in sides:
            tokens = batch * (side // 4) ** 2
            share = (sides[0] / side) ** 2
            ratio = comparison.ratio(str(side), str(sides[0]))._asdict()
            rows.append(
                {
                    "side": side,
                    "tokens": tokens,
                    "seconds_per_token": comparison.seconds(str(side)).median / tokens,
                    "time_per_token_over_first": {key: value * share for key, value in ratio.items()},
                    "peak_bytes_per_token": runs[str(side)].peak_bytes() / tokens,
                }
            )
        yield {"model": name, "sides": rows}


def table(record: dict[str, Any]) -> str:
    """A row for each size; for each model, time and memory per token."""
    results = record["results"]
    first = results[0]["sides"][0]["side"]
    head = ["side", "tokens"]
    for result in results:
        head += [f"{result['model']}: time per token over that at {first}", "peak kB per token"]
    rows = []
    for of_size in zip(*(result["sides"] for result in results), strict=True):
        row = [str(of_size[0]["side"]), str(of_size[0]["tokens"])]
        for cell in of_size:
            row += [f"{cell['time_per_token_over_first']['median']:.2f}x", f"{cell['peak_bytes_per_token'] / 1e3:.2f}"]
        rows.append(row)
    return f"{grid(head, rows)}\n\n{caption(record)}"


if __name__ == "__main__":
    script.run("growth", __doc__, measure, table)
