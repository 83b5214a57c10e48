"""Detectors and segmenters train with the same guarantees as classifiers."""

import json
import random
from dataclasses import replace

import pytest

from atmnet.engine import read_metrics, train
from atmnet_cli.errors import UserError
from tests.data.tiny_dense import write_picture
from tests.engine.runs import DETECTOR, SEGMENTER, assert_same_run, litter, metrics, tiny
from tests.processes import call, start, torchrun

SHORT = {"epochs": 2, "evaluate_every": 2, "checkpoint_every": 2, "log_every": 1}
TASKS = {"detector": DETECTOR, "segmenter": SEGMENTER}
MORE = {
    "retinanet": {**DETECTOR, "model.head": "retinanet", "model.head_kwargs": {}},
    "fcos": {**DETECTOR, "model.head": "fcos", "model.head_kwargs": {}},
    "cascade": {**DETECTOR, "model.head": "cascade_mask_rcnn"},
    "semantic fpn, muon": {**SEGMENTER, "model.head": "semantic_fpn", "model.head_kwargs": {}, "optim.opt": "muon"},
}


def _dies_and_goes_on(tmp_path, changes, die_after):
    whole, parts = (tiny("", tmp_path / name, {**changes, **SHORT}) for name in ("whole", "parts"))
    train(whole)
    with pytest.raises(die_after(3)):
        train(parts)
    die_after(None)
    train(parts)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert litter(tmp_path / "parts") == []


@pytest.mark.parametrize("changes", TASKS.values(), ids=TASKS)
def test_same_bits_after_a_death(tmp_path, changes, die_after):
    _dies_and_goes_on(tmp_path, changes, die_after)


@pytest.mark.slow
@pytest.mark.parametrize("changes", MORE.values(), ids=MORE)
def test_same_bits_after_a_death_for_other_heads(tmp_path, changes, die_after):
    _dies_and_goes_on(tmp_path, changes, die_after)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["labelme", "coco", "yolo"])
def test_same_bits_after_a_death_on_data_that_are_divided(tmp_path, die_after, source):
    """The division stays that of the start, also if a picture has come, which must be allowed."""
    for number in range(20):
        _write(tmp_path / "data", source, number)
    changes = {**DETECTOR, "data.source": source, "data.root": str(tmp_path / "data"), "data.kwargs": {}, **SHORT}
    whole, parts = (tiny("", tmp_path / name, changes) for name in ("whole", "parts"))
    train(whole)
    with pytest.raises(die_after(3)):
        train(parts)
    die_after(None)
    before = (tmp_path / "parts" / "split.json").read_bytes()
    _write(tmp_path / "data", source, 20)
    with pytest.raises(UserError, match="its annotations changed since this run started"):
        train(parts)
    train(replace(parts, allow_data_change=True))
    assert (tmp_path / "parts" / "split.json").read_bytes() == before
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def _write(root, source, number):
    """Picture ``number`` of data without a validation split, beside those before it."""
    folder = root if source == "labelme" else root / "images"
    write_picture(folder / f"{number}x.png", (64, 64), seed=number)
    label, box = number % 2, [8, 8, 20 + number, 42]
    if source == "labelme":
        shapes = [{"label": f"class{label}", "shape_type": "rectangle", "points": [[8, 8], [28 + number, 50]]}]
        (root / f"{number}x.json").write_text(json.dumps({"shapes": shapes}))
    elif source == "yolo":
        (root / "data.yaml").write_text("train: images\nnames: [class0, class1]\n")
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{number}x.txt").write_text(f"{label} .45 .45 {box[2] / 64} {box[3] / 64}")
    else:
        path = root / "result.json"
        content = (
            json.loads(path.read_text())
            if path.exists()
            else {"images": [], "annotations": [], "categories": [{"id": n, "name": f"class{n}"} for n in range(2)]}
        )
        content["images"].append({"id": number, "file_name": f"{number}x.png", "width": 64, "height": 64})
        content["annotations"].append({"id": number, "image_id": number, "category_id": label, "bbox": box})
        path.write_text(json.dumps(content))


@pytest.mark.slow
@pytest.mark.parametrize("changes", TASKS.values(), ids=TASKS)
def test_same_bits_after_kills(tmp_path, changes):
    """Killed outright five times, at moments of chance, with loader processes."""
    changes = {**changes, "epochs": 6, "checkpoint_every": 2, "log_every": 3, "data.workers": 2}
    train(tiny("", tmp_path / "whole", changes))
    seconds = read_metrics(tmp_path / "whole")[-1]["seconds"]
    options, chance = tiny("", tmp_path / "parts", changes), random.Random(0)
    for _ in range(5):
        process = start(train, options)
        process.join(chance.uniform(1.0, 2.0 + seconds / 4))
        process.kill()
        process.join()
    assert call(train, options) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def _two_equal_one(tmp_path, changes, epochs, equal_steps):
    """The same losses for the first ``equal_steps`` steps, on the same scenes in batches of the same order."""
    head_kwargs = dict(changes["model.head_kwargs"])
    if changes["model.head"] in ("upernet", "semantic_fpn"):
        head_kwargs["dropout"] = 0.0
    changes = {**changes, **SHORT, "epochs": epochs, "evaluate_every": epochs, "model.head_kwargs": head_kwargs}
    changes |= {"model.drop_path": 0.0, "ema": 0.0}  # drop path and dropout draw for a share of the batch at a time
    train(tiny("", tmp_path / "one", changes))
    done = torchrun(train, tiny("", tmp_path / "two", changes))
    assert done.returncode == 0, done.stderr
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert [(line["kind"], line["step"]) for line in one] == [(line["kind"], line["step"]) for line in two]
    lines = [(a, b) for a, b in zip(one, two, strict=True) if a["kind"] == "train"]
    assert len(lines) == 3 * epochs
    for a, b in lines[:equal_steps]:
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4)


@pytest.mark.parametrize("changes", [MORE["retinanet"], SEGMENTER], ids=["detector", "segmenter"])
def test_two_processes_equal_one(tmp_path, changes):
    _two_equal_one(tmp_path, changes, 2, 6)


ONE_STAGE = {"segmenter": SEGMENTER, **{name: MORE[name] for name in ("retinanet", "fcos", "semantic fpn, muon")}}


@pytest.mark.slow
@pytest.mark.parametrize("changes", ONE_STAGE.values(), ids=ONE_STAGE)
def test_two_processes_equal_one_over_twenty_steps(tmp_path, changes):
    _two_equal_one(tmp_path, changes, 7, 21)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [DETECTOR, MORE["cascade"]], ids=["mask", "cascade"])
def test_two_processes_begin_as_one(tmp_path, changes):
    """Until a decision, which proposals to keep or to match, hangs on how a sum was rounded."""
    _two_equal_one(tmp_path, changes, 7, 3)
