"""Compile a model as the other scripts do, to fill the compiler's cache: ``python -m benchmarks.compile_ahead MODEL``.

The scripts compile one model after the other, each for about a minute. Processes of this script, one for each model,
do it side by side, and the scripts then read what they have left.
"""

import argparse

import torch

from benchmarks import model, step
from benchmarks.workloads import Mode, build_workload


def compiled(device: str) -> dict[str, list[tuple[Mode, int, int]]]:
    """The compiled workloads of all scripts, by model: mode, side and batch."""
    found: dict[str, list[tuple[Mode, int, int]]] = {}
    for mode, batches, baselines in model.PLAN[device]:
        for name in (*step.NAMES[:2], *baselines):
            found.setdefault(name, []).extend((mode, model.SIDE, batch) for batch in batches if mode.compiled)
    for mode in step.MODES[device]:
        for name in step.NAMES:
            found.setdefault(name, []).extend([(mode, model.SIDE, step.BATCH[device])] if mode.compiled else [])
    return {name: workloads for name, workloads in found.items() if workloads}


def main() -> None:
    """Run each compiled workload of a model once."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile_ahead")
    parser.add_argument("model", help="name of a timm model, or 'as published'")
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    options = parser.parse_args()
    for mode, side, batch in compiled(options.device)[options.model]:
        torch.compiler.reset()
        build_workload(options.model, side, batch, mode, torch.device(options.device))()


if __name__ == "__main__":
    main()
