"""The reports of detectors and segmenters.

Shapes: an image of H x W pixels, K classes.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor

from atmnet.data import Sample, Split, image_mode
from atmnet.data.dense_transforms import SegmentationEval
from atmnet.data.targets import IGNORE, DetectionTarget
from atmnet.predictions.label_maps import BACKGROUND as UNCOLOURED
from atmnet.report.classes import Column, classes_section
from atmnet.report.confusion import confusion_section, count_pairs
from atmnet.report.content import Looker, percentages
from atmnet.report.curve import Score, curve_section
from atmnet.report.looks import looks_section
from atmnet.report.page import Section, write_page
from atmnet.report.precision import precision_section
from atmnet.report.worst_label_maps import SegmentedImage, worst_label_maps_section
from atmnet.report.worst_objects import DetectedImage, worst_objects_section
from atmnet.tasks import DenseNetwork, Task
from atmnet.tasks.confusion import marginals
from atmnet.tasks.detection_meter import DetectionResult
from atmnet.tasks.matching import BACKGROUND, MIN_SCORE, MISSED
from atmnet.tasks.segmentation_meter import SegmentationResult
from atmnet_cli.printing import printable

_EXAMPLES = 6
_MAX_SEARCHED = 200
"""Maximum number of images that are read in search of examples."""


def write_detection_report(
    task: Task,
    result: DetectionResult,
    source: Split,
    metrics: Sequence[dict[str, Any]],
    title: str,
    facts: dict[str, str],
    path: Path,
) -> None:
    """Write the report of a detector to ``path``, an .html file.

    Args:
        task: The task, whose network is in evaluation mode and on the CPU.
        result: The evaluation on ``source``, of a task that keeps mistakes.
        source: The evaluated split.
        metrics: The lines of metrics.jsonl, or none.
        title: Heading of the page.
        facts: Label -> value, shown below the title.
        path: The file.

    Raises:
        ValueError: If the task did not keep mistakes.

    Examples:
        >>> task = load_task("runs/detector", keep_mistakes=24)  # doctest: +SKIP
        >>> result, source = evaluate(options, task, data), task.open(data, data.val)  # doctest: +SKIP
        >>> write_detection_report(task, result, source, [], "Detector", {}, Path("page.html"))  # doctest: +SKIP
    """
    if result.counts is None:
        raise ValueError("result: got one without counts of objects, expected that of a task with keep_mistakes")
    classes, counts = _classes(task), result.counts
    kind = "mask" if "mask" in result.class_ap else "box"
    score = Score(f"{kind}_ap", f"{kind.capitalize()} AP", f"Evaluation {kind} AP")
    curves, curve_points = curve_section(metrics, score)
    precision, precision_points = precision_section(result.precision[kind], kind, classes, len(curve_points))
    images = (
        DetectedImage(name, image, target, output)
        for name, image, target, output in _answers(task, source, counts.worst)
    )
    found = [n - missed for n, missed in zip(counts.labelled, counts.missed, strict=True)]
    lead = (
        "AP is the mean over IoU thresholds from 0.50 to 0.95. Recall and precision are those of boxes with a score of "
        f"at least {100 * MIN_SCORE:.0f}\u202f% and an IoU of at least 0.50. Choose a heading to sort."
    )
    columns = [Column("objects", counts.labelled, is_percent=False)]
    for name, values in result.class_ap.items():
        ap50 = (100 * result.precision[name][0].mean(0)).tolist()
        columns += [Column(f"{name} AP", values), Column(f"{name} AP50", ap50)]
    columns += [
        Column("recall", percentages(found, counts.labelled)),
        Column("precision", percentages(found, [f + i for f, i in zip(found, counts.invented, strict=True)])),
    ]
    sections = [
        Section(curves, curves=curve_points),
        Section(classes_section(lead, classes, columns)),
        Section(precision, curves=precision_points),
        Section(confusion_section(count_pairs(counts.confusion), classes, "objects", (BACKGROUND, MISSED))),
        Section(worst_objects_section(images, classes, sum(counts.missed), sum(counts.invented))),
        _looks(task, source, _name_objects),
    ]
    write_page(title, facts, sections, path)


def write_segmentation_report(
    task: Task,
    result: SegmentationResult,
    source: Split,
    metrics: Sequence[dict[str, Any]],
    title: str,
    facts: dict[str, str],
    path: Path,
) -> None:
    """Write the report of a segmenter to ``path``, an .html file.

    Args:
        task: The task, whose network is in evaluation mode and on the CPU.
        result: The evaluation on ``source``, of a task that keeps mistakes.
        source: The evaluated split.
        metrics: The lines of metrics.jsonl, or none.
        title: Heading of the page.
        facts: Label -> value, shown below the title.
        path: The file.

    Raises:
        ValueError: If the task did not keep mistakes.

    Examples:
        >>> task = load_task("runs/segmenter", keep_mistakes=24)  # doctest: +SKIP
        >>> result, source = evaluate(options, task, data), task.open(data, data.val)  # doctest: +SKIP
        >>> write_segmentation_report(task, result, source, [], "Segmenter", {}, Path("page.html"))  # doctest: +SKIP
    """
    classes = _classes(task)
    curves, curve_points = curve_section(metrics, Score("miou", "mIoU", "Evaluation mIoU"))
    _, true, _ = marginals(result.confusion)
    images = (
        SegmentedImage(name, image, target.cpu().numpy(), output.cpu().numpy())
        for name, image, target, output in _answers(task, source, result.worst)
    )
    lead = (
        "IoU is the intersection of labelled and predicted pixels divided by their union; accuracy is the share of the "
        "labelled pixels that is right. Choose a heading to sort."
    )
    columns = [
        Column("share of pixels", (100 * true / true.sum().clamp(min=1)).tolist()),
        Column("IoU", result.iou),
        Column("accuracy", result.accuracy),
    ]
    sections = [
        Section(curves, curves=curve_points),
        Section(classes_section(lead, classes, columns[1:] + columns[:1])),
        Section(confusion_section(count_pairs(result.confusion), classes, noun="pixels")),
        Section(worst_label_maps_section(images, classes)),
        _looks(task, source, _name_regions),
    ]
    write_page(title, facts, sections, path)


def _classes(task: Task) -> list[str]:
    return [printable(name) for name in task.network.classes]


@torch.inference_mode()
def _answers(task: Task, source: Split, indices: list[int]) -> Iterator[tuple[str, Image.Image, Any, Any]]:
    """Name, image, target and the task's output for some images, one after the other, computed in float32."""
    mode, transform = image_mode(task.network.config), task.eval_transform()
    for index in indices:
        image, target = source.load(index, mode)
        batch = task.eval_collate([Sample(*transform(image, target), [])])
        yield (
            printable(source.name(index)),
            image,
            batch.targets[0],
            task.outputs(task.network.model, batch.images, batch.targets)[0],
        )


def _looks(task: Task, source: Split, describe: Callable[[Any, list[str]], str]) -> Section:
    """Where the backbone looks, in the first images in which ``describe`` names something."""
    network = cast(DenseNetwork, task.network)
    model: Any = network.model
    mode, classes = image_mode(network.config), _classes(task)
    mean, std = network.config["mean"], network.config["std"]
    dense = network.dense
    transform = SegmentationEval(dense.img_sizes[-1] if network.kind == "detection" else dense.crop_size, mean, std)
    images = []
    for index in range(min(len(source), _MAX_SEARCHED)):
        image, target = source.load(index, mode)
        if text := describe(target, classes):
            images.append(
                (image, f'<b>{escape(text)}</b> <span class="file">{escape(printable(source.name(index)))}</span>')
            )
        if len(images) == _EXAMPLES:
            break

    def preprocess(image: Image.Image) -> Tensor:
        return transform(image, torch.zeros(0))[0]

    html, data = looks_section(Looker(model.backbone.body, preprocess, mean, std, images))
    return Section(html, looks=data)


def _name_objects(target: DetectionTarget, classes: list[str]) -> str:
    """The classes of the labelled objects, such as "2 × cup, spoon"."""
    counts = Counter(target.labels[~target.crowd].tolist()).most_common(3)
    return ", ".join(f"{n}\u202f×\u202f{classes[k]}" if n > 1 else classes[k] for k, n in counts)


def _name_regions(target: Tensor, classes: list[str]) -> str:
    """The largest classes of a label map, without the background."""
    counts = torch.bincount(target[target != IGNORE].long(), minlength=len(classes))
    order = [k for k in counts.argsort(descending=True, stable=True).tolist() if counts[k]]
    return ", ".join([classes[k] for k in order if classes[k] != UNCOLOURED][:3])
