"""Commands on a classifier for sets of labels: predict, evaluate, report."""

import csv
import io
import json
import shutil
from pathlib import PurePath

import pytest

from atmnet.engine import read_metrics, train
from atmnet.records import read_json
from tests.data.tiny_sets import CLASSES, labels_of, write_sets
from tests.engine.runs import tiny
from tests.report.reports import Page
from tests.shared import made_once


@pytest.fixture(scope="session")
def sets(tmp_path_factory):
    """Pictures, and a run on them; not to be changed."""
    changes = {"model.head": "multilabel", "optim.lr": 3e-3, "evaluate_every": 1}

    def write(folder):
        root = write_sets(folder / "sets")
        return root, train(tiny(root, folder / "run", changes))

    return made_once(tmp_path_factory, "sets-run", write)


def test_predict_lists_the_classes_over_the_threshold(atmnet, sets, tmp_path):
    root, run = sets
    result = atmnet("predict", run, root / "val", "--format=jsonl", "--threshold=0", "--device=cpu")
    records = [json.loads(line) for line in result.out.splitlines()]
    assert len(records) == 12
    for record in records:
        assert {item["class"] for item in record["predictions"]} == set(CLASSES)
        probabilities = [item["probability"] for item in record["predictions"]]
        assert probabilities == sorted(probabilities, reverse=True)
    least = sorted(item["probability"] for record in records for item in record["predictions"])[6]
    over = [item for record in records for item in record["predictions"] if item["probability"] >= least]
    table = atmnet("predict", run, root / "val", "--format=csv", f"--threshold={least}", "--output", tmp_path / "out")
    rows = [row for row in csv.DictReader(io.StringIO(table.out)) if row["class"]]
    assert len(rows) == len(over) == 18
    assert (tmp_path / "out" / "predictions.csv").read_text() == table.out
    nothing = atmnet("predict", run, root / "val" / "0.png", "--threshold=1")
    assert nothing.out.split(maxsplit=1)[1].strip() == "no class"
    assert atmnet("predict", run, root / "val", "--top=2").error == "top: multilabel does not take it; leave it out"


def test_evaluate_writes_tables_and_a_report(atmnet, sets, tmp_path):
    _, run = sets
    out, page = tmp_path / "out", tmp_path / "report.html"
    result = atmnet("evaluate", run / "last", "--output", out, "--report", page, "--device=cpu", "--threads=1")
    metrics, last = json.loads(result.out), read_metrics(run)[-1]
    assert metrics == {key: last[key] for key in ("loss", "map", "f1", "images")}
    assert sorted(path.name for path in out.iterdir()) == ["classes.csv", "evaluation.json", "images.csv"]
    with (out / "classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == CLASSES
    assert sum(float(row["ap"]) for row in rows) / 2 == pytest.approx(metrics["map"])
    with (out / "images.csv").open() as file:
        images = list(csv.DictReader(file))
    assert [row["truth"] for row in images] == ["|".join(labels_of(number)) for number in range(12)]
    for row in images:
        truth, answer, missed, invented = (set(filter(None, row[key].split("|"))) for key in
                                           ("truth", "answer", "missed", "invented"))  # fmt: skip
        assert (missed, invented) == (truth - answer, answer - truth)
        assert row["correct"] == str(truth == answer)
    report = Page(page.read_text("utf-8"))
    assert not report.open
    assert report.sections() == ["looks", "curve", "classes", "calibration", "mistakes"]
    assert "mAP" in report.said()


def test_windows_are_refused(atmnet, sets):
    _, run = sets
    error = atmnet("evaluate", run, "--windows.window=32").error
    assert error == f"windows: only segmenters take windows, and {run} is for multilabel; leave it out"


def test_calibration_is_used_everywhere(atmnet, sets, tmp_path):
    root, run = sets
    checkpoint = shutil.copytree((run / "last").resolve(), tmp_path / "checkpoint")
    data = (f"--data.root={root}", "--data.source=table", "--data.workers=0", "--device=cpu")
    before, raw = json.loads(atmnet("evaluate", checkpoint, *data).out), _probabilities(atmnet, checkpoint, root)
    metrics = json.loads(atmnet("evaluate", checkpoint, *data, "--calibrate=true").out)
    assert metrics["loss"] < before["loss"]
    assert metrics["map"] == pytest.approx(before["map"], abs=1)
    assert metrics["f1"] == before["f1"]
    assert {"ece", "ece_uncalibrated"} <= metrics.keys()
    temperature = read_json(checkpoint / "config.json")["calibration_temperature"]
    assert temperature == metrics["temperature"] != 1
    expected = {key: _tempered(p, temperature) for key, p in raw.items()}
    assert _probabilities(atmnet, checkpoint, root) == pytest.approx(expected, abs=1e-6)


def _probabilities(atmnet, model, root):
    result = atmnet("predict", model, root / "val", "--format=jsonl", "--threshold=0", "--device=cpu")
    records = map(json.loads, result.out.splitlines())
    return {
        (PurePath(record["image"]).name, item["class"]): item["probability"]
        for record in records
        for item in record["predictions"]
    }


def _tempered(p, temperature):
    return 1 / (1 + ((1 - p) / p) ** (1 / temperature))
