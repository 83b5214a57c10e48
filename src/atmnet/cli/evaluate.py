"""``atmnet evaluate``"""

import json
import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from atmnet.data import Split, eval_transform, image_mode
from atmnet.engine import evaluate, read_metrics, read_options
from atmnet.report import Example, Report, write_report
from atmnet.tasks import ClassificationResult, ClassificationTask, Classifier, Mistake, Task, load_task
from atmnet.tasks.classifier import data_config
from atmnet.tasks.exported import FileModel
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions, EvaluateOptions

_WORST, _EXAMPLES = 24, 10


def run(options: EvaluateOptions) -> int:
    """Print the metrics as one JSON line, and write the report where asked."""
    task = load_task(options.model, options.weights, options.windows, keep_mistakes=_WORST if options.report else 0)
    if options.report and isinstance(task.network.model, FileModel):
        raise UserError("report: shows where a network looks, which takes its checkpoint; leave --report out")
    if options.report and not isinstance(task, ClassificationTask):
        raise UserError("report: of classifiers alone; `atmnet predict --output` draws what others find")
    recorded = read_options(Path(options.model))
    data = _data(options.data, recorded)
    if options.data is not None and options.data.img_size is not None:
        _resize(task, options.data.img_size)
    result = evaluate(options, task, data)
    if os.environ.get("RANK", "0") != "0":
        return 0
    print(json.dumps(result.metrics), flush=True)
    if options.report and isinstance(task, ClassificationTask) and isinstance(result, ClassificationResult):
        source = task.open(data, data.val)
        report = _report(options, task.network, result, source, recorded)
        write_report(report, Path(options.report))
        print(f"report in {options.report}", file=sys.stderr)
    return 0


def _data(given: DataOptions | None, recorded: dict[str, Any] | None) -> DataOptions:
    """What was asked for, and the rest as the run was trained with, unless that is another kind of data."""
    if recorded is None:
        if given is None:
            raise UserError("data.root: the model carries no record of its data; say which to evaluate on")
        return given
    trained, defaults = recorded["data"], asdict(DataOptions())
    named = {key: value for key, value in asdict(given or DataOptions()).items() if value != defaults[key]}
    other = named.get("source", trained["source"]) != trained["source"] or ("root" in named and not trained["root"])
    return DataOptions(**{**(defaults if other else trained), **named})


def _resize(task: Task, side: int) -> None:
    """Let a classifier see pictures at another size than it was trained with."""
    network = task.network
    if not isinstance(network, Classifier):
        raise UserError("data.img_size: of classifiers; the sizes of detectors and segmenters are the checkpoint's")
    if isinstance(network.model, FileModel):
        raise UserError("data.img_size: an exported file keeps the size that it was exported with; leave it out")
    network.config = data_config(network.model, side)


def _report(
    options: EvaluateOptions,
    classifier: Classifier,
    result: ClassificationResult,
    source: Split,
    recorded: dict[str, Any] | None,
) -> Report:
    run_folder = Path(options.model)
    metrics = next((lines for folder in _ancestors(run_folder) if (lines := read_metrics(folder))), [])
    mode = image_mode(classifier.config)
    model: Any = classifier.model
    architecture = model.pretrained_cfg["architecture"]
    parameters = sum(p.numel() for p in model.parameters())
    facts = {
        "Model": architecture,
        "Parameters": f"{parameters:,}",
        "Top-1 accuracy": f"{result.top1:.2f} %",
        "Held-out images": f"{result.images:,}",
        "Wrong": f"{round(result.images * (1 - result.top1 / 100))}",
    }
    if recorded is not None and not recorded["steps"]:
        facts["Epochs"] = str(recorded["epochs"])
    if metrics:
        facts["Training time"] = f"{metrics[-1]['seconds']:.0f} s"
    facts["Command"] = shlex.join(["atmnet", *sys.argv[1:]])
    return Report(
        title=f"{architecture} on {source_name(options, recorded)}",
        model=model.cpu().eval(),
        preprocess=eval_transform(classifier.config),
        mean=tuple(classifier.config["mean"]),
        std=tuple(classifier.config["std"]),
        classes=classifier.classes,
        metrics=metrics,
        confusion=result.confusion,
        mistakes=[_example(source, mode, mistake) for mistake in result.mistakes],
        examples=_examples(classifier, source, mode),
        facts=facts,
    )


def source_name(options: EvaluateOptions, recorded: dict[str, Any] | None) -> str:
    """What the data set is called in the report's title."""
    data = _data(options.data, recorded)
    return Path(data.root).name if data.root else data.source


def _ancestors(folder: Path) -> list[Path]:
    return [folder, *folder.resolve().parents[:2]]


def _example(source: Split, mode: str, mistake: Mistake) -> Example:
    image, _ = source.load(mistake.index, mode)
    return Example(source.name(mistake.index), image, mistake.target, mistake.predicted, mistake.confidence)


def _examples(classifier: Classifier, source: Split, mode: str) -> list[Example]:
    """The first image of each class, up to a number of them, with what the model says."""
    chosen: dict[int, tuple[str, Image.Image]] = {}
    wanted = min(_EXAMPLES, len(classifier.classes))
    for index in range(len(source)):
        image, target = source.load(index, mode)
        chosen.setdefault(target, (source.name(index), image))
        if len(chosen) == wanted:
            break
    transform = eval_transform(classifier.config)
    examples = []
    for target, (name, image) in sorted(chosen.items()):
        scores = classifier.model(transform(image)[None]).detach().softmax(1)[0]
        predicted = int(scores.argmax())
        examples.append(Example(name, image, target, predicted, float(scores[predicted])))
    return examples
