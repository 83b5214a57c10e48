"""Run a benchmark script: its options, threads, and a record with machine and versions, written after each result."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from atmnet.benchmark import versions
from atmnet.files import write_json
from atmnet.threads import cpu_threads

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Settings:
    """Settings of the measurements."""

    device: torch.device
    rounds: int
    #: Tiny shapes, which test the script but give no useful measurements.
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
    """A parser of the options that every script has."""
    options = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=doc.splitlines()[0])
    options.add_argument(
        "--quick",
        action="store_true",
        help="tiny shapes and two rounds, to test the script; writes a record only with --output",
    )
    options.add_argument("--device", default="cpu", choices=devices, help="device to run on; default: %(default)s")
    options.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="number of CPU threads; default: %(default)s"
    )
    options.add_argument(
        "--rounds", type=int, default=15, help="number of measurements of each run; default: %(default)s"
    )
    options.add_argument("--output", type=Path, help="JSON file to write; default: benchmarks/results/NAME.json")
    return options


def record(name: str, arguments: argparse.Namespace, measure: Measure, table: Table) -> None:
    """Measure, print the table as Markdown, and write the record to results/NAME.json (NAME-cuda.json on a GPU)."""
    settings = Settings(torch.device(arguments.device), 2 if arguments.quick else arguments.rounds, arguments.quick)
    output: Path | None = arguments.output
    if output is None and not arguments.quick:
        output = RESULTS / (f"{name}.json" if settings.device.type == "cpu" else f"{name}-{settings.device.type}.json")

    torch.manual_seed(0)
    with cpu_threads(arguments.threads):
        contents: dict[str, Any] = {"machine": versions(settings.device), "rounds": settings.rounds, "results": []}
        for result in measure(settings):
            contents["results"].append(result)
            if output is not None:
                write_json(output, contents)
            print(f"{name}: {len(contents['results'])} done", file=sys.stderr, flush=True)
    print(table(contents))
