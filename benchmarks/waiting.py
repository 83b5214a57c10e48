"""Compare the ways in which CPU threads wait for each other: ``python -m benchmarks.waiting``.

They spin for milliseconds (the default), for some microseconds before they sleep, or sleep at once. OpenMP reads the
setting as PyTorch is imported, so each way has a process of its own. These take turns, once beside a process that
keeps one core busy and once without.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import torch

from atmnet.benchmark import compare
from benchmarks import script
from benchmarks.markdown import caption, grid, times
from benchmarks.script import Settings

_PROGRAM = """
import json, sys
import timm, torch
import atmnet
name, side, batch, train, threads = json.loads(sys.argv[1])
torch.set_num_threads(threads)
torch.manual_seed(0)
model = timm.create_model(name).train(train)
optimizer = torch.optim.AdamW(model.parameters())
images = torch.randn(batch, 3, side, side)
for _ in sys.stdin:
    with torch.set_grad_enabled(train):
        out = model(images).sum()
    if train:
        out.backward()
        optimizer.step()
        optimizer.zero_grad()
    print("done", flush=True)
"""
_WAYS = {"spinning": {}, "spinning briefly": {"GOMP_SPINCOUNT": "1000"}, "asleep": {"OMP_WAIT_POLICY": "PASSIVE"}}
#: Name, side of the images, batch, and whether it is a training step.
_WORK = (("atmnet_nano", 32, 32, True), ("atmnet_tiny", 224, 1, False))


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """A result for each piece of work, with and without another process."""
    for name, side, batch, train in _WORK[:1] if settings.quick else _WORK:
        for others in (0, 1):
            with ExitStack() as processes:
                for _ in range(others):
                    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                    processes.enter_context(busy)
                    processes.callback(busy.kill)
                arguments = json.dumps([name, side, batch, train, torch.get_num_threads()])
                runs = {way: _run(processes, arguments, variables) for way, variables in _WAYS.items()}
                comparison = compare(runs, settings.rounds, settle=True)
            yield {
                "model": name,
                "side": side,
                "batch": batch,
                "train": train,
                "others": others,
                "seconds": {way: comparison.seconds(way)._asdict() for way in _WAYS},
                "ratios": {way: comparison.ratio("spinning", way)._asdict() for way in list(_WAYS)[1:]},
            }


def _run(processes: ExitStack, arguments: str, variables: dict[str, str]) -> Callable[[], object]:
    """A function that has a new process do its work once; the process ends with ``processes``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, arguments],
        env=inherited | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    processes.enter_context(process)
    processes.callback(process.kill)

    def once() -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        if process.stdout.readline() != "done\n":
            raise RuntimeError(f"the process of {arguments} has ended")

    return once


def table(record: dict[str, Any]) -> str:
    """A row for each result."""
    rows = []
    for result in record["results"]:
        work = "training step" if result["train"] else "forward"
        seconds = result["seconds"]
        rows.append(
            [
                f"{result['model']}, {result['batch']} x 3 x {result['side']} x {result['side']}, {work}",
                "one core busy" if result["others"] else "none added",
                *(f"{1000 * seconds[way]['median']:.0f} ms" for way in _WAYS),
                *(times(ratio) for ratio in result["ratios"].values()),
            ]
        )
    head = ["work", "other load", *_WAYS, *(f"spinning / {way}" for way in list(_WAYS)[1:])]
    return f"{grid(head, rows)}\n\n{caption(record)}"


if __name__ == "__main__":
    script.run("waiting", __doc__, measure, table, devices=("cpu",))
