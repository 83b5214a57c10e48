"""Models in other runtimes against the published formulation, eager: ``python -m benchmarks.runtimes``.

The first model runs in every runtime, larger ones only in the fastest. atmnet.export first writes every file and
compares it with the eager model. Then all run in turns in one process, each with the same number of threads. Runtimes
that are not installed are left out.
"""

import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata, util
from pathlib import Path
from typing import Any

import torch

from atmnet.benchmark import compare
from atmnet.export import export_model
from atmnet.export.formats import FORMATS
from atmnet_runtime import open_classifier
from benchmarks import script
from benchmarks.markdown import caption, grid, times
from benchmarks.script import Settings
from benchmarks.workloads import PUBLISHED, Mode, build_workload

NAMES = ["atmnet_xtiny", "atmnet_tiny", "atmnet_large"]
BATCHES = [1, 4]
#: Runtimes of the larger models.
_FASTEST = ("ONNX Runtime", "OpenVINO, static")
_LIBRARIES = ("onnx", "onnxscript", "onnxruntime", "openvino", "nncf")
#: Label, format, file, further settings of the export, and the library that it needs.
_FILES: list[tuple[str, str, str, dict[str, Any], str]] = [
    ("ONNX Runtime", "onnx", "open.onnx", {}, "onnxruntime"),
    ("ONNX Runtime, static", "onnx", "static.onnx", {"dynamic": False}, "onnxruntime"),
    ("ONNX Runtime, int8 dynamic", "onnx", "int8.onnx", {"precision": "int8-dynamic"}, "onnxruntime"),
    ("OpenVINO", "openvino", "open.xml", {}, "openvino"),
    ("OpenVINO, static", "openvino", "static.xml", {"dynamic": False}, "openvino"),
    ("torch.export, static", "torch", "program.pt2", {}, "torch"),
    ("AOTInductor, static", "aoti", "code.pt2", {}, "torch"),
]


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """A result for each model and batch size."""
    names, side = (["atmnet_nano"], 32) if settings.quick else (NAMES, 224)
    versions = {name: metadata.version(name) for name in _LIBRARIES if util.find_spec(name) is not None}
    for name in names:
        files = [file for file in _FILES if name == NAMES[0] or file[0] in _FASTEST]
        for batch in BATCHES[:1] if settings.quick else BATCHES:
            workload = build_workload(name, side, batch, Mode(), settings.device)
            published = build_workload(PUBLISHED, side, batch, Mode(), settings.device, name)
            runs: dict[str, Callable[[], object]] = {"as published, eager": published, "eager": workload}
            facts = {}
            with tempfile.TemporaryDirectory() as folder:
                for label, to, file, further, needed in files:
                    if util.find_spec(needed) is None:
                        continue
                    path = Path(folder) / file
                    fixed = not (FORMATS[to].dynamic and further.get("dynamic", True))
                    report = export_model(workload.model, path, to=to, batch_size=batch if fixed else 1, **further)
                    facts[label] = {"bytes": report.bytes, "nodes": report.nodes, "largest_difference": report.largest}
                    runs[label] = _call(to, path, workload.images)
                    if label == "OpenVINO, static":
                        runs["OpenVINO, static, bfloat16"] = _bfloat16(path, workload.images)
                if not settings.quick:
                    compiled = build_workload(name, side, batch, Mode(compiled=True), settings.device)
                    runs["torch.compile"] = compiled
                comparison = compare(runs, settings.rounds, device=settings.device, settle=True)
            rows = {
                label: {
                    "seconds": comparison.seconds(label)._asdict(),
                    "ratio": comparison.ratio(label, "as published, eager")._asdict(),
                    "least_ratio": min(comparison.times[label]) / min(comparison.times["as published, eager"]),
                    **facts.get(label, {}),
                }
                for label in runs
            }
            yield {"model": name, "batch": batch, "side": side, "versions": versions, "runtimes": rows}


def _call(to: str, path: Path, images: torch.Tensor) -> Callable[[], object]:
    run, array = FORMATS[to].load(path, torch.get_num_threads()), images.numpy()
    return lambda: run(array)


def _bfloat16(path: Path, images: torch.Tensor) -> Callable[[], object]:
    run = open_classifier(path, torch.get_num_threads(), precision="bf16").logits
    array = images.numpy()
    return lambda: run(array)


def table(record: dict[str, Any]) -> str:
    """A table for each model: times as ratios to the published formulation, for each batch size."""
    parts = []
    for name in dict.fromkeys(result["model"] for result in record["results"]):
        results = [result for result in record["results"] if result["model"] == name]
        head = [f"{name} at {results[0]['side']}", *(f"time, batch {result['batch']}" for result in results)]
        head += [*(f"least time, batch {result['batch']}" for result in results), "MB", "largest difference"]
        rows = []
        for label, first in results[0]["runtimes"].items():
            ratios = [times(result["runtimes"][label]["ratio"]) for result in results]
            size = f"{first['bytes'] / 1e6:.1f}" if "bytes" in first else ""
            gap = f"{first['largest_difference']:.1e}" if "bytes" in first else ""
            least = [f"{result['runtimes'][label]['least_ratio']:.2f}x" for result in results]
            rows.append([label, *ratios, *least, size, gap])
        parts.append(grid(head, rows))
    libraries = ", ".join(f"{name} {version}" for name, version in record["results"][0]["versions"].items())
    return "\n\n".join([*parts, caption(record), f"*{libraries}.*"])


if __name__ == "__main__":
    script.run("runtimes", __doc__, measure, table, devices=["cpu"])
