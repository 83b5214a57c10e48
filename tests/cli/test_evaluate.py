"""`atmnet evaluate`: the numbers of the training's own evaluation, from its folder alone."""

import json
import shutil
from dataclasses import asdict

import pytest

from atmnet.cli.evaluate import _data_options
from atmnet.engine import read_metrics
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions, EvaluationData


def test_the_last_line_of_the_run(atmnet, run):
    """Bit for bit: the same weights (the average), data and preprocessing."""
    result = atmnet("evaluate", run / "last", "--device=cpu", "--threads=1")
    assert result.status == 0
    metrics = json.loads(result.out)
    last = read_metrics(run)[-1]
    assert metrics == {key: last[key] for key in ("loss", "top1", "images")}


def test_a_run_stands_for_its_best(atmnet, run):
    best = max((line for line in read_metrics(run) if line["kind"] == "evaluate"), key=lambda line: line["top1"])
    assert json.loads(atmnet("evaluate", run).out)["top1"] == best["top1"]


@pytest.mark.parametrize("batch_size", [1, 5])
def test_batches_do_not_matter(atmnet, run, batch_size):
    metrics = json.loads(atmnet("evaluate", run / "last", f"--batch_size={batch_size}").out)
    last = read_metrics(run)[-1]
    assert metrics["loss"] == pytest.approx(last["loss"], rel=1e-6)
    assert metrics["top1"] == last["top1"]


def test_other_data(atmnet, run, root):
    for path in (root / "val").rglob("*-[23].png"):
        path.unlink()
    metrics = json.loads(atmnet("evaluate", run, "--data.root", root, "--data.workers=0").out)
    assert metrics["images"] == 6
    shutil.rmtree(root / "val" / "eight")  # a class may be absent: the labels stay
    assert json.loads(atmnet("evaluate", run, "--data.root", root, "--data.workers=0").out)["images"] == 4


def test_another_size_of_images(atmnet, run):
    larger = json.loads(atmnet("evaluate", run, "--data.img_size=48").out)
    assert larger["images"] == 12
    assert larger["loss"] != json.loads(atmnet("evaluate", run).out)["loss"]


def test_a_checkpoint_taken_out_of_its_run_needs_to_be_told_the_data(atmnet, run, root, tmp_path):
    alone = shutil.copytree((run / "last").resolve(), tmp_path / "alone")
    assert "data.root: the model has no record of its data" in atmnet("evaluate", alone).error
    metrics = json.loads(atmnet("evaluate", alone, "--data.root", root, "--data.workers=0").out)
    assert metrics["top1"] == read_metrics(run)[-1]["top1"]


def test_report(atmnet, run, tmp_path):
    result = atmnet("evaluate", run, "--report", tmp_path / "report.html")
    assert result.status == 0
    assert json.loads(result.out)["images"] == 12
    assert result.err.splitlines()[-1] == f"report in {tmp_path / 'report.html'}"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "atmnet_nano on " in page
    assert "http://" not in page.replace("http://www.w3.org", "")  # stands alone


GIVEN = {
    "source": ("digits", "folder"),
    "root": ("elsewhere", ""),
    "val": ("other", "val"),
    "classes": ("names.txt", ""),
    "workers": (0, 4),
    "ignore_zero": (False, True),
    "kwargs": ({"img_size": 64}, {}),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_default_that_is_named_counts_as_given(name):
    """Whatever the run was trained with: None alone stands for an option that was left out."""
    trained, default = GIVEN[name]
    recorded = {"data": {**asdict(DataOptions(source="folder", root="somewhere")), name: trained}}
    assert getattr(_data_options(EvaluationData(), recorded), name) == trained
    assert getattr(_data_options(EvaluationData(**{name: default}), recorded), name) == default


def test_every_option_of_the_data_can_be_left_out():
    assert {name for name, value in asdict(EvaluationData()).items() if value is not None} == set()
    of_training = {"train", "max_unreadable", "range", "used_classes", "val_share", "split_seed", "split_file"}
    assert set(asdict(EvaluationData())) == set(asdict(DataOptions())) - of_training


def test_a_run_cannot_make_it_fetch_data():
    """A run is data of others; what it names on a hub is fetched only if the command line says so."""
    recorded = {"data": {**asdict(DataOptions()), "source": "hfds/somebody/pictures"}}
    with pytest.raises(UserError, match="the run names 'hfds/somebody/pictures', which may be fetched from a hub"):
        _data_options(EvaluationData(), recorded)
    typed = EvaluationData(source="hfds/somebody/pictures")
    assert _data_options(typed, recorded).source == "hfds/somebody/pictures"
