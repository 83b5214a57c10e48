"""Accuracy, size and speed of 8-bit files: ``python -m benchmarks.eight_bits RUN ...``.

Each RUN is a folder that ``atmnet train`` wrote for embedded data, such as runs/demo of ``make demo`` and
runs/scenes/semantic_fpn-0 of benchmarks.scenes. The exported files are calibrated on pictures of the training
split and evaluated on the validation split. Times are for images of the size that the run was trained with.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch

from atmnet.benchmark import compare
from atmnet.data import image_mode
from atmnet.engine import evaluate, read_options
from atmnet.export import ExportSettings, export
from atmnet.export.settings import Precision
from atmnet.tasks import Task, load_task
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions, EvaluateOptions
from atmnet_runtime import ExportedFile
from benchmarks import script
from benchmarks.markdown import caption, grid, times
from benchmarks.script import Settings

PRECISIONS: list[Precision] = ["fp32", "int8", "int8-dynamic"]
BATCHES = [1, 8, 32]
_SCORES = {"top1": "top-1", "miou": "mIoU"}
_PICTURES = 128


def measure(run: str, settings: Settings) -> dict[str, Any]:
    """Score, bytes and times of a run's network as ONNX of each precision."""
    task = load_task(run)
    recorded = read_options(Path(run))
    if recorded is None:
        raise UserError(f"RUN: {run}: contains no options.json; expected a folder that `atmnet train` wrote")
    data = DataOptions(**recorded["data"])
    with tempfile.TemporaryDirectory() as folder:
        files = {precision: Path(folder) / f"{precision}.onnx" for precision in PRECISIONS}
        pictures = _write_pictures(task, data, Path(folder) / "pictures")
        results = {precision: _facts(task, data, file, precision, pictures) for precision, file in files.items()}
        opened = {precision: ExportedFile(file, torch.get_num_threads()) for precision, file in files.items()}
        side = opened["fp32"].config["input_size"]
        for batch in BATCHES[:1] if settings.quick else BATCHES:
            images = torch.randn(batch, *side).numpy()
            runs = {str(name): partial(file.outputs, images) for name, file in opened.items()}
            comparison = compare(runs, settings.rounds, settle=True)
            for name in PRECISIONS:
                results[name]["ratios"][str(batch)] = comparison.ratio(name, "fp32")._asdict()
    return {"run": Path(run).name, "side": side[1], "precisions": results}


def _write_pictures(task: Task, data: DataOptions, folder: Path) -> str:
    folder.mkdir()
    source = task.open(data, data.train)
    for index in range(_PICTURES):
        source.load(index, image_mode(task.network.config))[0].save(folder / f"{index:03}.png")
    return str(folder)


def _facts(task: Task, data: DataOptions, file: Path, precision: Precision, pictures: str) -> dict[str, Any]:
    calibration = pictures if precision == "int8" else ""
    settings = ExportSettings(precision=precision, calibration=calibration, images=pictures)
    report = export(task.network, file, settings)
    metrics = evaluate(EvaluateOptions(str(file)), load_task(str(file)), data).metrics
    score = next(name for name in _SCORES if name in metrics)
    return {"score": score, "value": metrics[score], "bytes": report.bytes, "ratios": {}}


def table(record: dict[str, Any]) -> str:
    """A row for each run and precision."""
    batches = list(record["results"][0]["precisions"]["fp32"]["ratios"])
    head = ["trained network", "precision", "score", "bytes", *(f"time, batch {batch}" for batch in batches)]
    rows = []
    for result in record["results"]:
        fp32 = result["precisions"]["fp32"]
        for name, facts in result["precisions"].items():
            score = f"{_SCORES[facts['score']]} {facts['value']:.2f} %"
            ratios = [times(facts["ratios"][batch]) for batch in batches]
            label = f"{result['run']}, {result['side']} pixels"
            rows.append([label, f"`{name}`", score, f"{facts['bytes'] / fp32['bytes']:.2f}x", *ratios])
    return "\n\n".join([grid(head, rows), caption(record)])


def main() -> None:
    """Measure all runs, and write the record."""
    parser = script.parser("eight_bits", __doc__ or "", devices=["cpu"])
    parser.add_argument("run", nargs="+", help="folder that atmnet train wrote")
    parser.set_defaults(threads=1, rounds=31)  # the networks are small
    arguments = parser.parse_args()
    script.record("eight_bits", arguments, lambda settings: (measure(run, settings) for run in arguments.run), table)


if __name__ == "__main__":
    main()
