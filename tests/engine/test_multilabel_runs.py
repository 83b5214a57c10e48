"""Classifiers for sets of labels: they learn, and a run that died and was started again ends with the same bits."""

import json

import pytest

from atmnet.engine import read_metrics, train
from atmnet.interface import load
from atmnet_cli.errors import UserError
from tests.data.tiny_sets import CLASSES, write_sets
from tests.engine.runs import RANDOM, assert_same_run, metrics, tiny
from tests.processes import torchrun

SETS = {"model.head": "multilabel"}


@pytest.fixture
def sets_root(tmp_path):
    return write_sets(tmp_path / "sets")


def test_learns(sets_root, tmp_path):
    """Chance is a mean average precision of 50 %."""
    changes = {**SETS, "model.kwargs": {"dims": [16, 32, 48, 64]}, "optim.lr": 3e-3, "epochs": 8}
    run = train(tiny(sets_root, tmp_path / "run", changes))
    last = read_metrics(run)[-1]
    assert last["map"] > 90
    assert last["f1"] > 80
    config = json.loads((run / "best" / "config.json").read_text())
    assert (config["kind"], config["problem_type"]) == ("multilabel", "multi_label_classification")
    assert config["label_names"] == CLASSES
    answer = load(run, device="cpu")(sets_root / "val" / "3.png", threshold=0.0)
    assert {item["class"] for item in answer.record["predictions"]} == set(CLASSES)


def test_same_bits_after_a_death(sets_root, tmp_path, die_after):
    changes = {**RANDOM, **SETS}
    whole = train(tiny(sets_root, tmp_path / "whole", changes))
    parts = tiny(sets_root, tmp_path / "parts", changes)
    for steps in (2, 4, 5):
        with pytest.raises(die_after(steps * parts.accumulate)):
            train(parts)
    die_after(None)
    train(parts)
    assert [line["step"] for line in metrics(whole)] == [5, 6, 10, 12, 12]
    assert_same_run(whole, tmp_path / "parts")


@pytest.mark.slow
def test_two_processes_do_what_one_does(sets_root, tmp_path):
    changes = {**SETS, "augment.mixup": 0.8, "augment.cutmix": 1.0, "log_every": 1}
    one = train(tiny(sets_root, tmp_path / "one", changes))
    done = torchrun(train, tiny(sets_root, tmp_path / "two", changes))
    assert done.returncode == 0, done.stderr
    for ours, theirs in zip(metrics(tmp_path / "two"), metrics(one), strict=True):
        assert ours.pop("kind") == theirs.pop("kind")
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_changed_labels_are_refused_on_resume(sets_root, tmp_path, die_after):
    options = tiny(sets_root, tmp_path / "run", SETS)
    with pytest.raises(die_after(5)):
        train(options)
    die_after(None)
    table = sets_root / "train.csv"
    table.write_text(table.read_text().replace("1.png,blue", "1.png,red", 1))
    with pytest.raises(UserError, match=r"data.train: its table of labels changed since this run started"):
        train(options)


def test_a_source_without_sets_is_refused(root, tmp_path):
    with pytest.raises(UserError, match=r"data.source: .* does not look like one of table"):
        train(tiny(root, tmp_path / "run", SETS))
    with pytest.raises(UserError, match=r"dense.distort: model.head 'multilabel' does not take it"):
        train(tiny(write_sets(tmp_path / "sets"), tmp_path / "run", {**SETS, "dense.distort": True}))
