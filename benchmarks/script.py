"""What the scripts share: options, threads, and a record with machine and versions, written after each result."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from atmnet.benchmark import versions
from atmnet.threads import cpu_threads

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Settings:
    """How to measure."""

    device: torch.device
    rounds: int
    #: Tiny shapes: shows that the script runs, measures nothing.
    quick: bool


Measure = Callable[[Settings], Iterator[dict[str, Any]]]
Table = Callable[[dict[str, Any]], str]


def run(
    name: str,
    doc: str,
    measure: Measure,
    table: Table,
    arguments: Sequence[str] | None = None,
    devices: Sequence[str] = ("cpu", "cuda"),
) -> None:
    """Read the options, measure, print the table as Markdown, and write the record."""
    record(name, parser(name, doc, devices).parse_args(arguments), measure, table)


def parser(name: str, doc: str, devices: Sequence[str] = ("cpu", "cuda")) -> argparse.ArgumentParser:
    """The options of every script."""
    found = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=doc.splitlines()[0])
    found.add_argument("--quick", action="store_true", help="tiny shapes, two rounds; writes only where told to")
    found.add_argument("--device", default="cpu", choices=devices, help="where to run; default: %(default)s")
    found.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads; default: %(default)s")
    found.add_argument("--rounds", type=int, default=15, help="times that each run is measured; default: %(default)s")
    found.add_argument("--output", type=Path, help="where to write the record")
    return found


def record(name: str, given: argparse.Namespace, measure: Measure, table: Table) -> None:
    """Measure, print the table as Markdown, and write the record to results/NAME.json (NAME-cuda.json on a GPU)."""
    settings = Settings(torch.device(given.device), 2 if given.quick else given.rounds, given.quick)
    output: Path | None = given.output
    if output is None and not given.quick:
        output = RESULTS / (f"{name}.json" if settings.device.type == "cpu" else f"{name}-{settings.device.type}.json")

    torch.manual_seed(0)
    with cpu_threads(given.threads):
        found: dict[str, Any] = {"machine": versions(settings.device), "rounds": settings.rounds, "results": []}
        for result in measure(settings):
            found["results"].append(result)
            if output is not None:
                output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
            print(f"{name}: {len(found['results'])} done", file=sys.stderr, flush=True)
    print(table(found))
