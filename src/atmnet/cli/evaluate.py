"""``atmnet evaluate``"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image

from atmnet.cli.checkpoint_note import note_checkpoint
from atmnet.data import Sample, Split, eval_transform, image_mode
from atmnet.data.own_split import SPLIT_FILE
from atmnet.engine import evaluate, find_run, read_metrics, read_options
from atmnet.engine.calibration import Calibration, calibrate
from atmnet.files import to_json
from atmnet.models.create import data_config
from atmnet.predictions.evaluation_files import RecordedTask, write_evaluation
from atmnet.report import (
    Example,
    Report,
    write_detection_report,
    write_multilabel_report,
    write_report,
    write_segmentation_report,
)
from atmnet.tasks import ClassificationResult, Classifier, Kind, Mistake, Network, Result, Task, load_task
from atmnet.tasks.calibration import calibration_error
from atmnet.tasks.configuration import CLASSIFIERS
from atmnet.tasks.detection_meter import DetectionResult
from atmnet.tasks.multilabel_meter import MultilabelResult
from atmnet.tasks.segmentation_meter import SegmentationResult
from atmnet_cli.errors import UserError
from atmnet_cli.invocation import command_line
from atmnet_cli.options import DataOptions, EvaluateOptions, EvaluationData
from atmnet_cli.output_paths import check_output_file, check_output_folder
from atmnet_cli.printing import print_line, printable

_WORST, _EXAMPLES = 24, 10
_PAGES = (".html", ".htm")


def run(options: EvaluateOptions) -> int:
    """Print the metrics as one JSON line, and write the report if one is asked for."""
    if options.output:
        check_output_folder(Path(options.output), "output")
    if options.report:
        check_output_file(Path(options.report), "report", _PAGES)
    keep_mistakes = _WORST if options.report or options.output else 0
    task = load_task(options.model, options.weights, options.windows, keep_mistakes, options.flip)
    note_checkpoint(options.model)
    network = task.network
    _check_options(options, network)
    recorded = read_options(Path(options.model))
    data = _data_options(options.data, recorded)
    run_path = find_run(Path(options.model))
    if run_path is not None and options.data.root is None and (run_path / SPLIT_FILE).is_file():
        data = replace(data, split_file=str(run_path / SPLIT_FILE))
    if options.data.img_size is not None:
        network.config = data_config(network.model, options.data.img_size)
    calibration = calibrate(options, cast(Classifier, network), data) if options.calibrate else None
    recorder = RecordedTask(task)
    result = evaluate(options, cast(Task, recorder) if options.output else task, data)
    if os.environ.get("RANK", "0") != "0":
        return 0
    print_line(to_json({**result.metrics, **_calibration(network, result, calibration)}))
    if options.output:
        source = task.open(data, data.val)
        write_evaluation(Path(options.output), network.kind, network.classes, result, recorder.rows, source)
        print_line(f"tables in {options.output}", error=True)
    if options.report:
        network.model.cpu().eval()
        _REPORTS[network.kind](options, task, result, task.open(data, data.val), recorded)
        print_line(f"report in {options.report}", error=True)
    return 0


def _calibration(network: Network, result: Result, calibration: Calibration | None) -> dict[str, float]:
    """The temperature of a calibrated classifier and its calibration error, and that before if it was fitted now."""
    if not isinstance(network, Classifier) or network.temperature == 1:
        return {}
    before = {} if calibration is None else {"ece_uncalibrated": calibration.error_before}
    error = calibration_error(cast(ClassificationResult | MultilabelResult, result).calibration)
    return {"temperature": network.temperature, **before, "ece": error}


def _check_options(options: EvaluateOptions, network: Network) -> None:
    """Refuse options that this network does not take."""
    if options.report and network.exported:
        raise UserError("report: an exported file does not show where its network looks; evaluate the checkpoint")
    if options.data.img_size is not None and network.kind not in CLASSIFIERS:
        raise UserError(
            f"data.img_size: only classifiers take it, and {options.model} is for {network.kind}, whose sizes are in "
            "its checkpoint; leave it out"
        )
    if options.data.img_size is not None and network.exported:
        raise UserError("data.img_size: an exported file keeps the size that it was exported with; leave it out")
    if options.calibrate and network.kind not in CLASSIFIERS:
        raise UserError(f"calibrate: only classifiers take it, and {options.model} is for {network.kind}; leave it out")
    if options.calibrate and options.data.img_size is not None:
        raise UserError("calibrate: a temperature is for the checkpoint's own image size; leave data.img_size out")
    if options.precision != "fp32" and network.exported:
        raise UserError("precision: an exported file computes in the precision that it was exported with; leave it out")


def _data_options(changes: EvaluationData, recorded: dict[str, Any] | None) -> DataOptions:
    """The data options that the run recorded, replaced by those on the command line."""
    overrides = {name: value for name, value in vars(changes).items() if value is not None}
    if recorded is None:
        if not overrides:
            raise UserError("data.root: the model has no record of its data; pass --data.root or --data.source")
        return DataOptions(**overrides)
    trained = recorded["data"]
    if "source" not in overrides and str(trained["source"]).startswith("hfds/"):
        raise UserError(
            f"data.source: the run names {trained['source']!r:.100}, which may be fetched from a hub; if you trust it, "
            "pass it as --data.source"
        )
    other_source = overrides.get("source", trained["source"]) != trained["source"]
    other_root = "root" in overrides and not trained["root"]  # the run had embedded data
    return DataOptions(**{**({} if other_source or other_root else trained), **overrides})


def _report_classifier(
    options: EvaluateOptions, task: Task, evaluation: Result, source: Split, recorded: dict[str, Any] | None
) -> None:
    classifier, result = cast(Classifier, task.network), cast(ClassificationResult, evaluation)
    mode = image_mode(classifier.config)
    metrics = _metrics(options)
    facts = {
        "Top-1 accuracy": f"{result.top1:.2f} %",
        "Held-out images": f"{result.images:,}",
        "Wrong": f"{round(result.images * (1 - result.top1 / 100))}",
    }
    report = Report(
        title=_title(options, classifier, recorded),
        model=classifier.model,
        preprocess=eval_transform(classifier.config),
        mean=tuple(classifier.config["mean"]),
        std=tuple(classifier.config["std"]),
        classes=[printable(name) for name in classifier.classes],
        metrics=metrics,
        confusion=result.confusion,
        mistakes=[_example(source, mode, mistake) for mistake in result.mistakes],
        examples=_examples(task, source, mode),
        facts=_facts(classifier, facts, metrics, recorded),
        calibration=result.calibration,
    )
    write_report(report, Path(options.report))


def _report_detector(
    options: EvaluateOptions, task: Task, evaluation: Result, source: Split, recorded: dict[str, Any] | None
) -> None:
    result, network, metrics = cast(DetectionResult, evaluation), task.network, _metrics(options)
    facts = {
        f"{kind.capitalize()} {name.upper()}": f"{result.metrics[f'{kind}_{name}']:.1f} %"
        for kind in result.class_ap
        for name in ("ap", "ap50")
        if f"{kind}_{name}" in result.metrics
    }
    facts["Held-out images"] = f"{result.metrics['images']:,}"
    write_detection_report(
        task, result, source, metrics, _title(options, network, recorded), _facts(network, facts, metrics, recorded),
        Path(options.report),
    )  # fmt: skip


def _report_segmenter(
    options: EvaluateOptions, task: Task, evaluation: Result, source: Split, recorded: dict[str, Any] | None
) -> None:
    result, network, metrics = cast(SegmentationResult, evaluation), task.network, _metrics(options)
    names = {"miou": "mIoU", "macc": "Class accuracy", "aacc": "Pixel accuracy"}
    facts = {title: f"{result.metrics[name]:.1f} %" for name, title in names.items() if name in result.metrics}
    facts["Held-out images"] = f"{result.metrics['images']:,}"
    write_segmentation_report(
        task, result, source, metrics, _title(options, network, recorded), _facts(network, facts, metrics, recorded),
        Path(options.report),
    )  # fmt: skip


def _report_sets(
    options: EvaluateOptions, task: Task, evaluation: Result, source: Split, recorded: dict[str, Any] | None
) -> None:
    result, network, metrics = cast(MultilabelResult, evaluation), task.network, _metrics(options)
    names = {"map": "mAP", "f1": "F1, mean of the classes"}
    facts = {title: f"{result.metrics[name]:.1f} %" for name, title in names.items()}
    facts["Held-out images"] = f"{result.images:,}"
    write_multilabel_report(
        task, result, source, metrics, _title(options, network, recorded), _facts(network, facts, metrics, recorded),
        Path(options.report),
    )  # fmt: skip


_REPORTS: dict[Kind, Callable[[EvaluateOptions, Task, Result, Split, dict[str, Any] | None], None]] = {
    "classification": _report_classifier,
    "multilabel": _report_sets,
    "detection": _report_detector,
    "segmentation": _report_segmenter,
}


def _metrics(options: EvaluateOptions) -> list[dict[str, Any]]:
    """The lines of the run's metrics.jsonl; none if the model is not of a run."""
    run = find_run(Path(options.model))
    return read_metrics(run) if run is not None else []


def _title(options: EvaluateOptions, network: Network, recorded: dict[str, Any] | None) -> str:
    return printable(f"{network.name} on {source_name(options, recorded)}")


def _facts(
    network: Network, scores: dict[str, str], metrics: list[dict[str, Any]], recorded: dict[str, Any] | None
) -> dict[str, str]:
    """What stands below the title: the model, ``scores``, how it was trained, and the command."""
    parameters = sum(p.numel() for p in network.model.parameters())
    facts = {"Model": network.name, "Parameters": f"{parameters:,}", **scores}
    if recorded is not None and not recorded["steps"]:
        facts["Epochs"] = str(recorded["epochs"])
    if metrics and metrics[-1].get("seconds") is not None:
        facts["Training time"] = f"{metrics[-1]['seconds']:.0f} s"
    if network.range is not None:
        facts["Values from black to white"] = "{:g} to {:g}".format(*network.range)
    facts["Command"] = printable(command_line())
    return facts


def source_name(options: EvaluateOptions, recorded: dict[str, Any] | None) -> str:
    """Name of the data set in the report's title."""
    data = _data_options(options.data, recorded)
    return Path(data.root).name if data.root else data.source


def _example(source: Split, mode: str, mistake: Mistake) -> Example:
    image, _ = source.load(mistake.index, mode)
    return Example(printable(source.name(mistake.index)), image, mistake.target, mistake.predicted, mistake.confidence)


@torch.inference_mode()
def _examples(task: Task, source: Split, mode: str) -> list[Example]:
    """The first image of each class, for at most ``_EXAMPLES`` classes, with the model's prediction."""
    chosen: dict[int, tuple[str, Image.Image]] = {}
    num_classes = min(_EXAMPLES, len(task.network.classes))
    for index in range(len(source)):
        image, target = source.load(index, mode)
        chosen.setdefault(target, (source.name(index), image))
        if len(chosen) == num_classes:
            break
    transform, model = task.eval_transform(), task.network.model
    examples = []
    for target, (name, image) in sorted(chosen.items()):
        batch = task.eval_collate([Sample(*transform(image, target), [])])
        scores = task.outputs(model, batch.images, batch.targets).softmax(1)[0]
        predicted = int(scores.argmax())
        examples.append(Example(printable(name), image, target, predicted, float(scores[predicted])))
    return examples
