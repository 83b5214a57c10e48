"""The list of the measurements' records, and the table of parity, made from benchmarks/results."""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
_RECORDS = """# Records of the measurements

The numbers in the tables of [Performance](performance.md) and of the other pages come from these files. Scripts wrote
them, together with the machine and the versions; `make bench` measures again.

| record | script | machine | versions |
| --- | --- | --- | --- |
"""
_PARITY = """# Equality with the authors' code

Relative error |a - b| / |b|, with norms over the whole tensor, against outputs of the published code on the same
weights and pictures, as `python -m benchmarks.parity` measures it ([record](results/parity.json)). Float64 shows that
the function is the same; float32 shows rounding.

| model, input | outputs | float64 | float32 |
| --- | --- | --- | --- |
"""


def pages() -> dict[str, str]:
    """Markdown of the two pages, by their paths in the site."""
    records = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}
    rows = [_row(name, record) for name, record in records.items()]
    errors = records["parity.json"]["errors"]
    return {
        "records.md": _RECORDS + "".join(rows),
        "parity.md": _PARITY + "".join(row for name, by_dtype in errors.items() for row in _errors(name, by_dtype)),
    }


def _row(name: str, record: dict[str, Any]) -> str:
    machine = record.get("machine", record)
    place = str(machine.get("gpu", machine["processor"]))
    versions = ", ".join(f"{each} {machine[each]}" for each in ("torch", "timm", "numba", "triton") if each in machine)
    stem = name.removesuffix(".json")
    return f"| [{stem}](results/{name}) | `benchmarks/{stem.partition('-')[0]}.py` | {place} | {versions} |\n"


def _errors(name: str, by_dtype: dict[str, dict[str, float]]) -> list[str]:
    title = name.removesuffix("_grad").replace("_", ", ")
    return [
        f"| {title} | {what} | {by_dtype['float64'][what]:.0e} | {by_dtype['float32'][what]:.0e} |\n"
        for what in by_dtype["float64"]
    ]
