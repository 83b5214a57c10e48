"""``atmnet export``"""

from pathlib import Path
from typing import Any

from atmnet.export import ExportReport, export_dense, export_model
from atmnet.export.formats import FORMATS
from atmnet.tasks import DenseNetwork, load_task
from atmnet.tasks.classifier import data_config
from atmnet.tasks.exported import ENDINGS
from atmnet.tasks.task import Network
from atmnet.threads import cpu_threads
from atmnet_cli.errors import UserError, check_minimums
from atmnet_cli.options import ExportOptions

_MINIMUMS = {"batch_size": 1, "img_size": 3, "threads": 1}


def run(options: ExportOptions) -> int:
    """Write the file and print what its verification found."""
    check_minimums(options, _MINIMUMS)
    common: dict[str, Any] = {
        "to": options.to, "dynamic": options.dynamic, "batch_size": options.batch_size, "pixels": options.pixels,
        "precision": options.precision, "calibration": options.calibration, "images": options.images,
        "tolerance": options.tolerance,
    }  # fmt: skip
    if Path(options.model).suffix in ENDINGS:
        raise UserError(f"model: {options.model} is an exported file; name the checkpoint that it was made of")
    network = load_task(options.model, options.weights).network
    with cpu_threads(options.threads):
        if isinstance(network, DenseNetwork):
            report = _dense(options, network, common)
        else:
            report = _classifier(options, network, common)
    print(report.text)
    return 0


def _classifier(options: ExportOptions, network: Network, common: dict[str, Any]) -> ExportReport:
    if options.raw:
        raise UserError("raw: of detectors; what a classifier says is raw")
    model: Any = network.model
    config = data_config(model, options.img_size) if options.img_size else network.config
    return export_model(
        model,
        _output(options, model.pretrained_cfg["architecture"]),
        classes=network.classes,
        config=config,
        **common,
    )


def _dense(options: ExportOptions, network: DenseNetwork, common: dict[str, Any]) -> ExportReport:
    output = _output(options, f"{network.options.name}_{network.options.head}")
    return export_dense(network, output, img_size=options.img_size, raw=options.raw, **common)


def _output(options: ExportOptions, name: str) -> Path:
    return Path(options.output or name + (FORMATS[options.to].suffix if options.to in FORMATS else ""))
