"""``atmnet benchmark``"""

from pathlib import Path
from typing import Any

import torch

from atmnet.benchmark import Workload, build_model, measure_models, versions
from atmnet.engine import device_of
from atmnet.engine.progress import Progress
from atmnet.files import write_json
from atmnet.threads import cpu_threads
from atmnet_cli.errors import UserError, check_minimums, first_line
from atmnet_cli.options import BenchmarkOptions
from atmnet_cli.output_paths import check_output_file
from atmnet_cli.printing import print_lines

_MINIMUMS = {"img_size": 1, "batch_size": 1, "threads": 1, "rounds": 2}
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def run(options: BenchmarkOptions) -> int:
    """Measure the models, print a table, and write a JSON file if one is asked for."""
    device = _check_options(options)
    with cpu_threads(options.threads):
        names = list(dict.fromkeys(options.models))
        progress = Progress("round", options.rounds)
        workloads = {name: _workload(name, options, device) for name in names}
        rows = measure_models(
            workloads, options.rounds, lambda: progress.advance("of all models" if progress.due() else None)
        )
        progress.close()
        machine = versions(device)
    print_lines(_table(options, machine, rows))
    if options.output:
        settings = {**vars(options), "models": names, "device": str(device)}
        record = {"machine": machine, "settings": settings, "models": rows}
        output = Path(options.output)
        output.parent.mkdir(parents=True, exist_ok=True)
        write_json(output, record)
    return 0


def _check_options(options: BenchmarkOptions) -> torch.device:
    """Refuse options that cannot work, before anything is measured. Returns the device."""
    check_minimums(options, _MINIMUMS)
    if options.output:
        check_output_file(Path(options.output), "output", [".json"])
    device = device_of(options.device)
    if device.type not in ("cpu", "cuda"):
        raise UserError(
            f"device: got {options.device!r}, expected cpu or cuda, since memory can be measured only there"
        )
    return device


def _workload(name: str, options: BenchmarkOptions, device: torch.device) -> Workload:
    """A workload that has run once. If that fails, the error names the model and the reason."""
    model = build_model(name, options.img_size, device)
    dtype = _DTYPES[options.precision]
    try:
        workload = Workload(
            model,
            options.img_size,
            options.batch_size,
            dtype=dtype,
            train=options.train,
            compile=options.compile,
            device=device,
        )
        workload()
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise UserError(
            f"models: {name} cannot run at img_size {options.img_size}, batch_size {options.batch_size} in "
            f"{options.precision} on {device}: {first_line(error)}"
        ) from error
    return workload


def _table(options: BenchmarkOptions, machine: dict[str, Any], rows: dict[str, dict[str, Any]]) -> str:
    first = next(iter(rows))
    hardware = machine.get("gpu") or f"CPU (threads: {machine['threads']})"
    kind = "training step" if options.train else "inference"
    form = "compiled" if options.compile else "eager"
    head = ["model", "ms", "images/s", "ratio", "(quartiles)", "peak MB"] + ["saved MB"] * options.train
    table = [head]
    for name, row in rows.items():
        ratio = row["ratio"]
        cells = [
            name,
            f"{row['seconds']['median'] * 1e3:.1f}",
            f"{row['images_per_second']:.1f}",
            f"{ratio['median']:.2f}",
            f"({ratio['lower_quartile']:.2f} to {ratio['upper_quartile']:.2f})",
        ]
        table.append(cells + [f"{row[key] / 1e6:.1f}" for key in ("peak_bytes", "saved_bytes") if key in row])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        f"{kind} at {options.img_size} pixels, batch {options.batch_size}, {options.precision}, {form}, on {hardware}; "
        f"medians of {options.rounds} rounds",
        f"ratio: time divided by that of {first}; peak: memory of a call besides weights and images"
        + "; saved: memory kept for the backward pass" * options.train,
    ]
    for name, *cells in table:
        lines.append("  ".join([f"{name:{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(cells, widths[1:], strict=True))]))
    return "\n".join(lines)
