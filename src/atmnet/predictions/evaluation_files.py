"""Files of an evaluation: a table of the classes, the confusion matrix, and each image's answer beside its truth.

Shapes: B images of a batch, K classes.
"""

import csv
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

from atmnet.data import Split
from atmnet.data.targets import IGNORE
from atmnet.files import replacing, write_json
from atmnet.tasks import ClassificationResult, Kind, Result, Task
from atmnet.tasks.confusion import marginals
from atmnet.tasks.detection_meter import DetectionResult
from atmnet.tasks.matching import BACKGROUND, MISSED, match
from atmnet.tasks.multilabel_meter import MultilabelResult
from atmnet.tasks.segmentation_meter import SegmentationResult
from atmnet.tasks.task import Meter

Row = dict[str, Any]


class RecordedTask:
    """A task whose evaluation also keeps a row for each image; everything else is the task's own.

    Args:
        task: The task.

    Attributes:
        rows: After the evaluation, by index in the data set: the columns of images.csv, without the name.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self.rows: dict[int, Row] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def meter(self, device: torch.device) -> Meter:
        """The task's meter, which fills :attr:`rows`."""
        return _RecordingMeter(self._task, self._task.meter(device), self.rows)


class _RecordingMeter:
    def __init__(self, task: Task, meter: Meter, rows: dict[int, Row]) -> None:
        self._meter, self._rows = meter, rows
        self._describe = _IMAGES[task.network.kind]
        self._classes = task.network.classes

    def update(self, outputs: Any, targets: Any, first: int, stride: int = 1) -> None:
        """Add a batch; see :meth:`atmnet.tasks.Meter.update`."""
        self._meter.update(outputs, targets, first, stride)
        for number, (output, target) in enumerate(zip(outputs, targets, strict=True)):
            self._rows[first + number * stride] = self._describe(output, target, self._classes)

    def result(self) -> Result:
        """The result over all processes, and their rows."""
        if dist.is_initialized():
            parts: list[dict[int, Row]] = [{} for _ in range(dist.get_world_size())]
            dist.all_gather_object(parts, self._rows)
            for part in parts:
                self._rows.update(part)
        return self._meter.result()


def evaluation_tables(
    kind: Kind, classes: list[str], result: Result, rows: Mapping[int, Row], source: Split
) -> dict[str, list[Row]]:
    """The tables of an evaluation: classes, images and confusion, which sets of labels do not have.

    Args:
        kind: The network's kind.
        classes: Names of the K classes.
        result: The result of the evaluation.
        rows: See :class:`RecordedTask`.
        source: The split, for names of images.
    """
    tables: dict[str, list[Row]] = {
        "classes": _CLASSES[kind](classes, result),
        "images": [{"image": source.name(index), **rows[index]} for index in sorted(rows)],
    }
    if isinstance(result, ClassificationResult | SegmentationResult):
        tables["confusion"] = _confusion(classes, classes, result.confusion)
    if isinstance(result, DetectionResult) and result.counts is not None:
        tables["confusion"] = _confusion([*classes, BACKGROUND], [*classes, MISSED], result.counts.confusion)
    return tables


def write_evaluation(
    folder: Path, kind: Kind, classes: list[str], result: Result, rows: Mapping[int, Row], source: Split
) -> None:
    """Write evaluation.json, with everything, and a CSV file of each of the tables.

    Args:
        folder: It is created if it does not exist; files of these names are replaced.
        kind, classes, result, rows, source: As for :func:`evaluation_tables`.
    """
    tables = evaluation_tables(kind, classes, result, rows, source)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "evaluation.json", {"kind": kind, "metrics": result.metrics, **tables})
    for name, table in tables.items():
        _write_csv(folder / f"{name}.csv", table)


def _write_csv(path: Path, rows: list[Row]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)


def _classified(logits: Tensor, target: Tensor, classes: list[str]) -> Row:
    probabilities = logits.float().softmax(0)
    answer, truth = int(probabilities.argmax()), int(target)
    return {
        "truth": classes[truth],
        "answer": classes[answer],
        "correct": answer == truth,
        "probability": float(probabilities[answer]),
        "probability_of_truth": float(probabilities[truth]),
    }


def _labelled(logits: Tensor, target: Tensor, classes: list[str]) -> Row:
    truth, answer = target.bool(), logits >= 0
    sets = {"truth": truth, "answer": answer, "missed": truth & ~answer, "invented": answer & ~truth}
    return {
        **{key: "|".join(classes[k] for k in chosen.nonzero().flatten().tolist()) for key, chosen in sets.items()},
        "correct": bool((truth == answer).all()),
    }


def _detected(output: dict[str, Tensor], target: Any, classes: list[str]) -> Row:
    matches = match(output, target)
    return {
        "objects": int((~target.crowd).sum()),
        "matched": int(matches.right.sum()),
        "missed": int(matches.missed.sum()),
        "invented": int(matches.invented.sum()),
    }


def _segmented(output: Tensor, target: Tensor, classes: list[str]) -> Row:
    counted = target != IGNORE
    true, predicted = target[counted].long(), output[counted].long()
    if not len(true):
        return {"miou": None, "pixel_accuracy": None}
    k = len(classes)
    counts = torch.bincount(true * k + predicted, minlength=k * k).reshape(k, k).double()
    correct = counts.diagonal()
    iou = correct / (counts.sum(0) + counts.sum(1) - correct)
    return {"miou": _percent(iou.nanmean()), "pixel_accuracy": _percent(correct.sum() / len(true))}


def _classes_of_classifier(classes: list[str], result: Result) -> list[Row]:
    counts = marginals(cast(ClassificationResult, result).confusion)
    return [
        {
            "class": name,
            "images": true,
            "precision": _percent(_ratio(correct, predicted)),
            "recall": _percent(_ratio(correct, true)),
            "f1": _percent(_ratio(2 * correct, true + predicted)),
        }
        for name, correct, true, predicted in zip(classes, *(part.tolist() for part in counts), strict=True)
    ]


def _classes_of_sets(classes: list[str], evaluation: Result) -> list[Row]:
    result = cast(MultilabelResult, evaluation)
    return [
        {
            "class": name,
            "images": result.labelled[k],
            "ap": _number(result.ap[k]),
            "precision": _percent(_ratio(result.correct[k], result.predicted[k])),
            "recall": _percent(_ratio(result.correct[k], result.labelled[k])),
            "f1": _number(f1),
        }
        for k, (name, f1) in enumerate(zip(classes, result.f1, strict=True))
    ]


def _classes_of_detector(classes: list[str], evaluation: Result) -> list[Row]:
    result = cast(DetectionResult, evaluation)
    rows: list[Row] = [{"class": name} for name in classes]
    for label, row in enumerate(rows):
        if result.counts is not None:
            labelled, missed = result.counts.labelled[label], result.counts.missed[label]
            invented = result.counts.invented[label]
            row |= {
                "objects": labelled,
                "missed": missed,
                "invented": invented,
                "precision": _percent(_ratio(labelled - missed, labelled - missed + invented)),
                "recall": _percent(_ratio(labelled - missed, labelled)),
            }
        for kind in result.class_ap:
            at_50 = result.precision[kind][0, :, label]
            row |= {f"{kind}_ap": _number(result.class_ap[kind][label]), f"{kind}_ap50": _percent(at_50.mean())}
    return rows


def _classes_of_segmenter(classes: list[str], evaluation: Result) -> list[Row]:
    result = cast(SegmentationResult, evaluation)
    _, true, _ = marginals(result.confusion)
    return [
        {"class": name, "pixels": pixels, "iou": _number(iou), "accuracy": _number(accuracy)}
        for name, pixels, iou, accuracy in zip(classes, true.tolist(), result.iou, result.accuracy, strict=True)
    ]


def _confusion(true_names: list[str], answer_names: list[str], confusion: Tensor) -> list[Row]:
    """A row for each pair of classes that occurs: with 21,841 classes, a matrix would have 477 million."""
    pairs: Iterable[list[int]] = confusion.indices().T.tolist()
    return [
        {"truth": true_names[true], "answer": answer_names[answer], "count": count}
        for (true, answer), count in zip(pairs, confusion.values().tolist(), strict=True)
        if count
    ]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _percent(share: float | Tensor) -> float | None:
    return _number(100 * float(share))


def _number(value: float) -> float | None:
    """A number for JSON and CSV; None where nothing can be measured."""
    return None if math.isnan(value) else value


_IMAGES: dict[Kind, Callable[[Any, Any, list[str]], Row]] = {
    "classification": _classified,
    "multilabel": _labelled,
    "detection": _detected,
    "segmentation": _segmented,
}
_CLASSES: dict[Kind, Callable[[list[str], Result], list[Row]]] = {
    "classification": _classes_of_classifier,
    "multilabel": _classes_of_sets,
    "detection": _classes_of_detector,
    "segmentation": _classes_of_segmenter,
}
