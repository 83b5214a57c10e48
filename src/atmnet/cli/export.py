"""``atmnet export``"""

from pathlib import Path
from typing import Any

from atmnet.benchmark import threads
from atmnet.export import export_model
from atmnet.export.formats import FORMATS
from atmnet.tasks import load_classifier
from atmnet.tasks.classifier import data_config
from atmnet_options import ExportOptions, UserError

_LEAST = {"batch_size": 1, "img_size": 3, "threads": 1}


def run(options: ExportOptions) -> int:
    """Write the file and print what its verification found."""
    for name, least in _LEAST.items():
        value = getattr(options, name)
        if value is not None and value < least:
            raise UserError(f"{name}: got {value}, expected at least {least}")
    classifier = load_classifier(options.model, options.weights)
    model: Any = classifier.model
    config = data_config(model, options.img_size) if options.img_size else classifier.config
    output = options.output or model.pretrained_cfg["architecture"] + FORMATS[options.to].suffix
    with threads(options.threads):
        report = export_model(
            model,
            Path(output),
            to=options.to,
            classes=classifier.classes,
            config=config,
            dynamic=options.dynamic,
            batch_size=options.batch_size,
            pixels=options.pixels,
            precision=options.precision,
            calibration=options.calibration,
            images=options.images,
            tolerance=options.tolerance,
        )
    print(report.text)
    return 0
