"""The report of a classifier for sets of labels.

Shapes: K classes.
"""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import torch

from atmnet.data import Split, eval_transform, image_mode
from atmnet.report.classes import Column, classes_section
from atmnet.report.content import Looker, percentages
from atmnet.report.curve import Score, curve_section
from atmnet.report.looks import looks_section
from atmnet.report.mistakes import captioned
from atmnet.report.page import Section, write_page
from atmnet.report.reliability import reliability_section
from atmnet.tasks import Classifier, Task
from atmnet.tasks.multilabel_meter import MultilabelResult
from atmnet_cli.printing import printable

#: Examples of where the network looks, and images that are read in search of them.
_EXAMPLES, _MAX_SEARCHED = 6, 200


def write_multilabel_report(
    task: Task,
    result: MultilabelResult,
    source: Split,
    metrics: Sequence[dict[str, Any]],
    title: str,
    facts: dict[str, str],
    path: Path,
) -> None:
    """Write the report to ``path``, an .html file.

    Args:
        task: The task of a :class:`~atmnet.tasks.Classifier`, which is in evaluation mode and on the CPU.
        result: The evaluation on ``source``, of a task that keeps mistakes.
        source: The evaluated split.
        metrics: The lines of metrics.jsonl, or none.
        title: Heading of the page.
        facts: Label -> value, shown below the title.
        path: The file.

    Examples:
        >>> task = load_task("runs/labels", keep_mistakes=24)  # doctest: +SKIP
        >>> result, source = evaluate(options, task, data), task.open(data, data.val)  # doctest: +SKIP
        >>> write_multilabel_report(task, result, source, [], "Labels", {}, Path("page.html"))  # doctest: +SKIP
    """
    classes = [printable(name) for name in task.network.classes]
    curves, points = curve_section(metrics, Score("map", "mAP", "Evaluation mAP"))
    lead = (
        "AP is the area under the curve of precision over recall. F1, recall and precision are those of labels with a "
        "probability of at least 50\u202f%. Choose a heading to sort."
    )
    columns = [
        Column("images", result.labelled, is_percent=False),
        Column("AP", result.ap),
        Column("F1", result.f1),
        Column("recall", percentages(result.correct, result.labelled)),
        Column("precision", percentages(result.correct, result.predicted)),
    ]
    reliability, reliability_points = reliability_section(result.calibration, len(points), of_labels=True)
    looks, looks_data = looks_section(_looker(task, source, classes))
    sections = [
        Section(looks, looks=looks_data),
        Section(curves, curves=points),
        Section(classes_section(lead, classes, columns)),
        Section(reliability, curves=reliability_points),
        Section(_worst_section(task, source, result.worst, classes)),
    ]
    write_page(title, facts, sections, path)


def _looker(task: Task, source: Split, classes: list[str]) -> Looker:
    """The network with the first images that have labels."""
    network = task.network
    mode, images = image_mode(network.config), []
    for index in range(min(len(source), _MAX_SEARCHED)):
        image, target = source.load(index, mode)
        if target.any():
            names, file = escape(_names(target, classes)), escape(printable(source.name(index)))
            images.append((image, f'<b>{names}</b> <span class="file">{file}</span>'))
        if len(images) == _EXAMPLES:
            break
    mean, std = network.config["mean"], network.config["std"]
    return Looker(network.model, eval_transform(network.config), mean, std, images)


def _worst_section(task: Task, source: Split, indices: list[int], classes: list[str]) -> str:
    """The images with the most wrong labels."""
    figures = list(_worst(task, source, indices, classes))
    lead = (
        f"Here are {len(figures)} images, those with the most missed and invented labels first."
        if figures
        else "There are none: every label of every image is right."
    )
    return (
        f'<section id="mistakes"><h2>Worst images</h2><p class="lead">{lead}</p>'
        f'<div class="mistakes">{"".join(figures)}</div></section>'
    )


@torch.inference_mode()
def _worst(task: Task, source: Split, indices: list[int], classes: list[str]) -> Iterator[str]:
    network = task.network
    assert isinstance(network, Classifier)
    mode, transform = image_mode(network.config), eval_transform(network.config)
    for index in indices:
        image, target = source.load(index, mode)
        truth, answer = target.bool(), network.model(transform(image)[None])[0] >= 0
        wrong = ' class="wrong"'
        lines = [
            ("right", truth & answer, ""),
            ("missed", truth & ~answer, wrong),
            ("invented", answer & ~truth, wrong),
        ]
        texts = "".join(
            f"<p><span>{verb}</span> <b{style}>{escape(_names(labels, classes))}</b></p>"
            for verb, labels, style in lines
            if labels.any()
        )
        yield captioned(image, printable(source.name(index)), texts)


def _names(labels: torch.Tensor, classes: list[str]) -> str:
    return ", ".join(classes[k] for k in labels.nonzero().flatten().tolist())
