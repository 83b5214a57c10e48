"""Tools of the ecosystem by models: ``python -m benchmarks.ecosystem``.

Runs every check of benchmarks/tools.py and benchmarks/libraries.py on every model and writes what came of it, with
versions, to benchmarks/results/ecosystem.json; ``python -m benchmarks.tables`` makes the table of docs/ecosystem.md.
The checks take about a quarter of an hour on two cores. A library that is not installed is left out.
"""

import importlib.metadata
import importlib.util
import multiprocessing
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch

import atmnet  # noqa: F401 - registers the models
from benchmarks import libraries, markdown, script, tools
from benchmarks.subject import Subject

MODELS = {
    **{f"atmnet_{name}": f"ATMNet {name}" for name in ("nano", "xtiny", "tiny", "small", "base", "large")},
    "convnext_tiny": "ConvNeXt tiny",
    "swin_tiny_patch4_window7_224": "Swin tiny",
}

#: Name in the table -> (distribution whose version is stated, check).
TOOLS = {**tools.TOOLS, **libraries.TOOLS}


def outcome(name: str, tool: str) -> dict[str, Any]:
    """What came of a check: ``result`` is pass or fail, with the reason of a failure."""
    library, check = TOOLS[tool]
    version = importlib.metadata.version(library)
    record = {"model": name, "tool": tool, "library": library, "version": version, "result": "pass"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            check(Subject(name))
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            record |= {"result": "fail", "reason": f"{type(error).__name__}: {lines[0][:160]}"}
    return record


def measure(settings: script.Settings) -> Iterator[dict[str, Any]]:
    """Check every tool that is installed on every model, one on each core; with --quick, three tools on nano."""
    names = [tool for tool, (library, _) in TOOLS.items() if importlib.util.find_spec(library) is not None]
    if settings.quick:
        yield from (outcome("atmnet_nano", tool) for tool in names[:3])
        return
    pairs = [(name, tool) for tool in names for name in MODELS]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), spawn, torch.set_num_threads, (1,)) as pool:
        yield from pool.map(outcome, *zip(*pairs, strict=True))


def table(record: dict[str, Any]) -> str:
    """A row for each tool, a column for each model, and the reasons of what does not pass as notes."""
    results = record["results"]
    models = list(dict.fromkeys(result["model"] for result in results))
    reasons: list[str] = []
    rows: dict[tuple[str, str], list[str]] = {}
    for result in results:
        cell = result["result"]
        if "reason" in result:
            reason = result["reason"].replace("|", "\\|")
            if reason not in reasons:
                reasons.append(reason)
            cell += f" ({reasons.index(reason) + 1})"
        rows.setdefault((f"{result['library']} {result['version']}", result["tool"]), []).append(cell)
    head = ["library", "tool", *(MODELS[name] for name in models)]
    notes = "\n".join(f"{number}. `{reason}`" for number, reason in enumerate(reasons, 1))
    grid = markdown.grid(head, [[*key, *cells] for key, cells in rows.items()])
    return f"{grid}\n\n{notes}\n\n*{markdown.place(record)}.*".replace("\n\n\n\n", "\n\n")


if __name__ == "__main__":
    script.run("ecosystem", __doc__, measure, table, devices=("cpu",))
