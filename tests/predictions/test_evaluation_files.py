"""What `evaluate --output` writes, held to the definitions and to the metrics of the evaluation itself."""

import csv
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from atmnet.data.own import DatasetSplit
from atmnet.data.targets import DetectionTarget
from atmnet.predictions.evaluation_files import RecordedTask, write_evaluation
from atmnet.tasks import Kind, Task
from atmnet.tasks.classification_meter import ClassificationMeter
from atmnet.tasks.segmentation_meter import SegmentationMeter
from atmnet_cli.command import main

CLASSES = ["a,b", "=cmd", 'c"']
CPU = torch.device("cpu")


class Fixed:
    """A task of which only the network's kind and classes, and the meter, are used."""

    def __init__(self, kind: Kind, meter: Any) -> None:
        self.kind, self.classes, self.network, self._meter = kind, CLASSES, self, meter

    def meter(self, device: torch.device) -> Any:
        return self._meter


def written(folder: Path, kind: Kind, meter: Any, batches: list[tuple[Any, Any]]) -> tuple[dict[str, Any], Any]:
    """The tables as they are read back, and the result."""
    task = RecordedTask(cast(Task, Fixed(kind, meter)))
    recording, first = task.meter(CPU), 0
    for outputs, targets in batches:
        recording.update(outputs, targets, first)
        first += len(targets)
    result = recording.result()
    source = DatasetSplit([(np.zeros((8, 8), np.uint8), 0)] * first, CLASSES, kind)
    write_evaluation(folder, kind, CLASSES, result, task.rows, source)
    tables: dict[str, Any] = {}
    for path in folder.glob("*.csv"):
        with path.open(newline="") as file:
            tables[path.stem] = list(csv.DictReader(file))
    content = json.loads((folder / "evaluation.json").read_text())
    for name, rows in tables.items():
        assert [{k: str("" if v is None else v) for k, v in row.items()} for row in content[name]] == rows
    return content, result


def test_classes_of_a_classifier_have_the_scores_of_torchmetrics(tmp_path):
    from torchmetrics.functional.classification import multiclass_f1_score, multiclass_precision, multiclass_recall

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 3, generator=generator)
    targets = torch.randint(0, 3, (50,), generator=generator)
    batches = [(logits[:32], targets[:32]), (logits[32:], targets[32:])]
    content, result = written(tmp_path, "classification", ClassificationMeter(3, CPU), batches)
    for name, function in (
        ("precision", multiclass_precision), ("recall", multiclass_recall), ("f1", multiclass_f1_score),
    ):  # fmt: skip
        expected = 100 * function(logits, targets, 3, average=None)
        assert [row[name] for row in content["classes"]] == pytest.approx(expected.tolist(), abs=1e-4)
    assert sum(row["correct"] for row in content["images"]) == pytest.approx(result.top1 / 2)
    assert [row["truth"] for row in content["images"]] == [CLASSES[k] for k in targets.tolist()]
    assert content["images"][40]["image"] == "sample 40"
    assert content["images"][40]["probability"] == pytest.approx(float(logits[40].softmax(0).max()))
    assert sum(row["count"] for row in content["confusion"]) == 50
    assert content["metrics"]["top1"] == result.top1


def test_a_class_that_does_not_occur_has_empty_cells(tmp_path):
    logits, targets = torch.tensor([[5.0, 0, 0]] * 4), torch.tensor([0, 0, 0, 1])
    content, _ = written(tmp_path, "classification", ClassificationMeter(3, CPU), [(logits, targets)])
    assert [row["precision"] for row in content["classes"]] == [75.0, None, None]
    assert [row["recall"] for row in content["classes"]] == [100.0, 0.0, None]


def test_images_of_a_segmenter(tmp_path):
    truth = torch.tensor([[0, 0], [1, 255]], dtype=torch.uint8)
    ignored = torch.full((2, 2), 255, dtype=torch.uint8)
    answer = torch.tensor([[0, 1], [1, 2]])
    content, result = written(
        tmp_path, "segmentation", SegmentationMeter(CLASSES, CPU), [([answer, answer], [truth, ignored])]
    )
    assert content["images"][0]["miou"] == pytest.approx(50)  # 1 of 2 pixels of each of two classes
    assert content["images"][0]["pixel_accuracy"] == pytest.approx(200 / 3)
    assert content["images"][1]["miou"] is None
    assert [row["iou"] for row in content["classes"]] == [pytest.approx(50), pytest.approx(50), None]
    assert result.metrics["miou"] == pytest.approx(50)


def test_images_of_a_detector(tmp_path):
    pytest.importorskip("faster_coco_eval")
    from atmnet.tasks.detection_meter import DetectionMeter

    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    target = DetectionTarget(
        boxes, torch.tensor([0, 1]), torch.zeros(2, 0, 0, dtype=torch.bool), torch.zeros(2, dtype=torch.bool),
        torch.full((2,), 100.0), 1,
    )  # fmt: skip
    output = {
        "boxes": torch.tensor([[0.0, 0, 10, 9], [40, 40, 50, 50]]),
        "labels": torch.tensor([0, 2]),
        "scores": torch.tensor([0.9, 0.8]),
    }
    content, _ = written(tmp_path, "detection", DetectionMeter(CLASSES, CPU, keep_mistakes=5), [([output], [target])])
    assert content["images"] == [{"image": "sample 0", "objects": 2, "matched": 1, "missed": 1, "invented": 1}]
    assert [(row["objects"], row["missed"], row["invented"]) for row in content["classes"]] == [
        (1, 0, 0), (1, 1, 0), (0, 0, 1),
    ]  # fmt: skip
    assert content["classes"][0]["box_ap50"] == pytest.approx(100)
    assert content["classes"][2]["box_ap"] is None
    assert content["confusion"] == [
        {"truth": CLASSES[0], "answer": CLASSES[0], "count": 1},
        {"truth": CLASSES[1], "answer": "missed", "count": 1},
        {"truth": "background", "answer": CLASSES[2], "count": 1},
    ]


def test_the_command_writes_them(tmp_path, capsys):
    """Also for the shipped weights; a file in the way is refused before work."""
    arguments = ["evaluate", "atmnet_nano", "--data.source=digits", "--data.workers=0", "--device=cpu"]
    assert main([*arguments, f"--output={tmp_path / 'tables'}"]) == 0
    top1 = json.loads(capsys.readouterr().out)["top1"]
    content = json.loads((tmp_path / "tables" / "evaluation.json").read_text())
    assert content["metrics"]["top1"] == top1
    assert len(content["images"]) == 450
    (tmp_path / "file").write_text("")
    assert main([*arguments, f"--output={tmp_path / 'file'}"]) == 2
    assert "output: " in capsys.readouterr().err
