"""Comparisons from the first option to the page: refusals, learning rates, failures, and what is done only once."""

import errno
import shutil

import pytest

from atmnet.comparison import worker
from atmnet.comparison.plan import Job, open_comparison, record_comparison
from atmnet.comparison.worker import take_jobs
from atmnet.engine import read_metrics
from atmnet_cli.errors import UserError
from tests.comparison.conftest import MODELS, compare_options

SCENES = {
    "model.head": "semantic_fpn", "data.source": "scenes", "data.kwargs": {"img_size": 64, "images": 8},
    "data.img_size": None, "dense.crop_size": 64,
}  # fmt: skip


def check(root, output, **changes):
    comparison = open_comparison(compare_options(root, output, **changes))
    comparison.check()
    return comparison


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"models": []}, "models: none given"),
        ({"models": ["convnext_tiny", "convnext_tinny"]}, "models: convnext_tinny: .*convnext_tiny"),
        ({"models": ["test_resnet", {"name": "test_vit", "label": "test_resnet"}]}, "have the same label"),
        ({"models": ["a b", {"name": "test_vit", "label": "A-b"}]}, "have the same label"),
        ({"models": [{"label": "x"}]}, "models: got .*expected a name"),
        ({"models": [{"name": "test_vit", "lr": 3}]}, "models: got .*expected a name"),
        ({"models": ["test_vit"], "data.img_size": 33}, "models: test_vit: "),
        ({"models": ["test_resnet", "visformer_tiny"], **SCENES}, "models: visformer_tiny: "),
        ({"lrs": [1e-3, 1e-3]}, "lrs: .*each learning rate once"),
        ({"lrs": [-1.0]}, "lrs: .*positive"),
        ({"seeds": 0}, "seeds: got 0"),
        ({"held_out": 1.0}, "held_out: got 1.0"),
        ({"model.name": "test_resnet"}, "model.name: `atmnet compare`, which takes --models"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:30],
)
def test_what_cannot_be_compared_is_refused_before_work(root, tmp_path, changes, reason):
    with pytest.raises(UserError, match=reason):
        check(root, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_folders_of_others_are_refused(root, tmp_path):
    record_comparison(check(root, tmp_path / "mine"))
    assert check(root, tmp_path / "mine", jobs=2).options.jobs == 2
    with pytest.raises(UserError, match="holds another comparison: epochs was 2, is 3"):
        check(root, tmp_path / "mine", epochs=3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(UserError, match="holds files that are not a comparison's"):
        check(root, tmp_path / "full")


def test_all_images_have_the_size_of_the_first_model(root, tmp_path):
    comparison = check(root, tmp_path / "out", **{"data.img_size": None})
    assert comparison.options.data.img_size == 32
    record_comparison(comparison)
    assert check(root, tmp_path / "out", **{"data.img_size": None}).options.data.img_size == 32
    assert {comparison.train_options(job).data.img_size for job in comparison.jobs()} == {32}


def _scores(comparison):
    return {job.name: comparison.result(job).get("score") for job in comparison.jobs()}


def test_the_learning_rate_is_chosen_without_the_validation_split(root, tmp_path):
    """With useless labels there, other scores come out, and the same learning rates."""
    spoilt = shutil.copytree(root, tmp_path / "spoilt")
    (spoilt / "val" / "eight").rename(spoilt / "val" / "x")
    (spoilt / "val" / "five").rename(spoilt / "val" / "eight")
    (spoilt / "val" / "x").rename(spoilt / "val" / "five")
    changes = {"lrs": [1e-5, 1e-3], "seeds": 1, "epochs": 3, "models": MODELS[:1]}
    both = [check(data, tmp_path / data.name / "out", **changes) for data in (root, spoilt)]
    for comparison in both:
        take_jobs(comparison, {})
    ours, theirs = ([comparison.lr_of(model)[0] for model in comparison.models] for comparison in both)
    assert ours == theirs
    assert set(ours) <= {1e-5, 1e-3}
    tuned, compared = ({n for n in _scores(both[0]) if n.startswith(part)} for part in ("tuning", "runs"))
    assert all(_scores(both[0])[name] == _scores(both[1])[name] for name in tuned)
    assert any(_scores(both[0])[name] != _scores(both[1])[name] for name in compared)
    assert both[0].train_options(Job(both[0].models[0], 0)).optim.lr == ours[0]


def test_a_model_that_diverges_is_named_and_the_others_go_on(root, tmp_path):
    comparison = check(root, tmp_path / "out", lrs=[1e-3, 1e30], seeds=1, models=["test_resnet"])
    take_jobs(comparison, {})
    results = {job.name: comparison.result(job) for job in comparison.jobs()}
    assert results["tuning/test_resnet/lr-1e+30"]["failed"].startswith("diverged: ")
    assert results["runs/test_resnet/seed-0"]["lr"] == 1e-3
    alone = check(root, tmp_path / "alone", lrs=[1e29, 1e30], seeds=1, models=["test_resnet"])
    take_jobs(alone, {})
    assert alone.result(alone.jobs()[-1])["failed"].startswith("failed at every learning rate: diverged: ")


def test_a_model_that_fails_is_named_and_the_others_go_on(root, tmp_path, monkeypatch):
    comparison = check(root, tmp_path / "out", seeds=1)
    trained = worker.train

    def train(options, *parts):
        if options.model.name == "test_resnet":
            raise ValueError("expected a map\nof two sides")
        return trained(options, *parts)

    monkeypatch.setattr(worker, "train", train)
    take_jobs(comparison, {})
    narrow, failing = (comparison.result(job) for job in comparison.jobs())
    assert "score" in narrow
    assert failing == {"failed": "ValueError: expected a map of two sides"}


def test_a_full_disk_is_no_failure_of_the_model(root, tmp_path, monkeypatch):
    comparison = check(root, tmp_path / "out", seeds=1)

    def train(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(worker, "train", train)
    with pytest.raises(OSError, match="No space left"):
        take_jobs(comparison, {})
    assert comparison.result(comparison.jobs()[0]) is None


def test_what_is_done_is_not_done_again(root, tmp_path, monkeypatch):
    comparison = check(root, tmp_path / "out", seeds=1)
    record_comparison(comparison)
    take_jobs(comparison, {})
    monkeypatch.setattr("atmnet.comparison.worker.train", lambda *_: pytest.fail("trained again"))
    take_jobs(check(root, tmp_path / "out", seeds=1), {})


def test_steps_of_a_budget_of_time(root, tmp_path):
    comparison = check(root, tmp_path / "out", seeds=1)
    take_jobs(comparison, {"narrow": 4})
    runs = comparison.folder / "runs"
    steps = {name: read_metrics(runs / name / "seed-0")[-1]["step"] for name in ("narrow", "test_resnet")}
    assert steps == {"narrow": 4, "test_resnet": 6}


def test_results_of_a_run(root, tmp_path):
    comparison = check(root, tmp_path / "out", seeds=1)
    take_jobs(comparison, {})
    narrow, resnet = (comparison.result(job) for job in comparison.jobs())
    assert narrow["score"] == narrow["metrics"]["top1"]
    assert len(narrow["images"]) == 12
    assert [row["class"] for row in narrow["classes"]] == ["eight", "five", "two"]
    assert [row["stage"] for row in narrow["reach"]] == [0, 1, 2, 3]
    assert all(0 <= row["share"] < 1 for row in narrow["reach"])
    assert resnet["reach"] == []
