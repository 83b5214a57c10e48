"""Scores of the scenes recipes, and FPN against ATMFPN at equal budgets: ``python -m benchmarks.scenes``.

Every run is ``atmnet train --config RECIPE`` with one thread, so that several can run in parallel; their times are not
compared. If the script is killed, calling it again resumes the runs.
"""

import argparse
import multiprocessing
import os
import statistics
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from atmnet.benchmark import versions
from atmnet.engine import device_of, read_metrics
from atmnet.files import write_json
from atmnet_cli import command
from benchmarks.markdown import grid
from benchmarks.script import RESULTS

RECIPES = ["faster_rcnn", "mask_rcnn", "cascade_mask_rcnn", "semantic_fpn", "upernet"]
#: Recipes that necks are compared with, and the options that shorten them.
COMPARED = {"faster_rcnn": {"steps": 250}, "semantic_fpn": {"steps": 600, "batch_size": 24}}
NECKS = {"fpn": "FPN", "atmfpn": "ATMFPN", "atmfpn_aligned": "ATMFPN, aligned"}
#: Metrics in the tables; each recipe has those of its kind of head.
METRICS = ["box_ap", "box_ap50", "box_ap75", "mask_ap", "mask_ap50", "mask_ap75", "miou", "macc", "aacc"]


def plan(recipes: list[str], seeds: int, compared: list[str]) -> list[dict[str, Any]]:
    """All runs: first the unchanged recipes, then each neck with every seed at equal budgets."""
    full = [{"recipe": name, "seed": seed} for name in recipes for seed in range(seeds)]
    comparisons = [
        {"recipe": name, "neck": neck, "seed": seed, **COMPARED[name]}
        for name in compared
        for seed in range(3)
        for neck in NECKS
    ]
    return full + comparisons


def train(run: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Do or resume a run, and return its last metrics."""
    name = "-".join(str(value) for value in run.values())
    options = ["train", "--config", f"scenes_{run['recipe']}", "--output", str(folder / name), "--threads=1"]
    options += [f"--seed={run['seed']}"]
    if "neck" in run:
        options += [f"--model.neck={run['neck']}", "--optim.warmup_steps=60", "--evaluate_every=1000"]
        options += [f"--{name}={run[name]}" for name in COMPARED[run["recipe"]]]
    if command.main(options) != 0:
        raise RuntimeError(f"atmnet {' '.join(options)} failed")
    last = read_metrics(folder / name)[-1]
    return {
        **run,
        "step": last["step"],
        **{key: last[key] for key in METRICS if key in last},
        "seconds": last["seconds"],
    }


def table(record: dict[str, Any]) -> str:
    """A row for each recipe, then one for each recipe and neck; means and ranges over seeds."""
    full = [result for result in record["results"] if "neck" not in result]
    columns = [key for key in METRICS if any(key in result for result in full)]
    rows = []
    for name in dict.fromkeys(result["recipe"] for result in full):
        results = [result for result in full if result["recipe"] == name]
        rows.append(
            [
                f"`scenes_{name}`",
                str(results[0]["step"]),
                str(len(results)),
                *(_spread(results, key) for key in columns),
            ]
        )
    parts = [grid(["recipe", "steps", "seeds", *map(_title, columns)], rows)]
    compared = [result for result in record["results"] if "neck" in result]
    rows = []
    for name, neck in dict.fromkeys((result["recipe"], result["neck"]) for result in compared):
        results = [result for result in compared if (result["recipe"], result["neck"]) == (name, neck)]
        keys = [key for key in columns if key in results[0]]
        scores = ", ".join(f"{_title(key)} {_spread(results, key)}" for key in keys)
        rows.append([f"`scenes_{name}`", NECKS[neck], str(results[0]["step"]), str(len(results)), scores])
    if rows:
        parts.append(grid(["recipe", "neck", "steps", "seeds", "mean (lowest to highest)"], rows))
    machine = record["machine"]
    note = f"*torch {machine['torch']}, timm {machine['timm']}; percent, on 300 held-out scenes.*"
    return "\n\n".join([*parts, note])


def _title(key: str) -> str:
    words = {"miou": "mIoU", "macc": "mean accuracy", "aacc": "pixel accuracy"}
    return words.get(key) or key.replace("_ap", " AP")


def _spread(results: list[dict[str, Any]], key: str) -> str:
    values = [result[key] for result in results if key in result]
    if not values:
        return ""
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.1f} to {max(values):.1f})"


def main() -> None:
    """Do all runs, and write the record after each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scenes", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="number of parallel runs; default: number of cores"
    )
    parser.add_argument("--seeds", type=int, default=1, help="number of runs of each recipe; default: %(default)s")
    parser.add_argument("--recipes", nargs="*", default=RECIPES, help="recipes to run unchanged; default: all")
    parser.add_argument(
        "--compare", nargs="*", default=list(COMPARED), help="recipes to compare necks with; default: all that can be"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/scenes"), help="folder of the runs; default: %(default)s"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "scenes.json", help="where to write the record")
    arguments = parser.parse_args()
    runs = plan(arguments.recipes, arguments.seeds, arguments.compare)
    results: dict[int, dict[str, Any]] = {}
    with ProcessPoolExecutor(arguments.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(train, run, arguments.folder): i for i, run in enumerate(runs)}
        for future in as_completed(waiting):
            results[waiting[future]] = future.result()
            record = {"machine": versions(device_of("cpu")), "results": [results[i] for i in sorted(results)]}
            write_json(arguments.output, record)
    print(table(record))


if __name__ == "__main__":
    main()
