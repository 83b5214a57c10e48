"""A run becomes longer if its steps so far are those of the longer run; else one line says what can be done instead."""

import shutil

import pytest
import safetensors.torch

from atmnet.engine import read_options, train
from atmnet.tasks import load_network
from atmnet_cli.errors import UserError
from tests.engine.runs import DETECTOR, SEGMENTER, tiny, weights

CONSTANT = {"optim.sched": "constant"}


def _copy(run, tmp_path):
    shutil.copytree(run, tmp_path / "run", symlinks=True)
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        (CONSTANT, {"epochs": 4}),
        ({"optim.sched": "none"}, {"steps": 12}),
        (
            {"optim.sched": "multistep", "optim.sched_kwargs": {"decay_milestones": [1, 3], "decay_rate": 0.1}},
            {"epochs": 4},
        ),
    ],
)
def test_a_finished_run_whose_rates_do_not_depend_on_its_length(root, trained, tmp_path, capsys, changes, more):
    run = _copy(trained({**changes, "epochs": 2}), tmp_path)
    train(tiny(root, run, {**changes, **more}))
    assert "planned for 2 epochs of 3 steps, now for " in capsys.readouterr().out
    whole = trained({**changes, **more})
    for name in ("model.safetensors", "trainer.safetensors"):
        assert (run / "last" / name).read_bytes() == (whole / "last" / name).read_bytes(), name
    assert read_options(run) == {**read_options(whole), "output": read_options(run)["output"]}


def test_a_run_that_was_stopped_in_its_warm_up(root, trained, tmp_path, die_after):
    """A cosine begins after it."""
    changes = {"optim.warmup_epochs": 2, "checkpoint_every": 2}
    with pytest.raises(die_after(5)):
        train(tiny(root, tmp_path / "run", {**changes, "epochs": 3}))
    die_after(None)
    train(tiny(root, tmp_path / "run", {**changes, "epochs": 4}))
    assert _equal(weights(tmp_path / "run"), weights(trained({**changes, "epochs": 4})))


def test_a_cosine_that_has_ended(root, trained, tmp_path):
    run = _copy(trained({"epochs": 2}), tmp_path)
    for more, length in (({"epochs": 5}, "5 epochs of 3 steps"), ({"steps": 7}, "7 steps")):
        message = (
            rf"^{next(iter(more))}: this run was planned for 2 epochs of 3 steps, and its learning rates \(optim.sched "
            rf"'cosine'\) have followed that plan, so it cannot become one of {length}; start a new run from its "
            rf"weights: repeat the command with --model.weights {run}/last --output {run}-2$"
        )
        with pytest.raises(UserError, match=message):
            train(tiny(root, run, {"epochs": 2, **more}))


def test_shorter_than_it_is(root, trained, tmp_path):
    run = _copy(trained({**CONSTANT, "epochs": 4}), tmp_path)
    with pytest.raises(UserError, match="epochs: got 2, but this run has taken 12 steps; it was planned for 4 epochs"):
        train(tiny(root, run, {**CONSTANT, "epochs": 2}))


def _equal(a, b):
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


@pytest.mark.parametrize("changes", [{"ema": 0.9}, DETECTOR, SEGMENTER], ids=["classifier", "detector", "segmenter"])
def test_a_new_run_starts_from_the_whole_network(root, trained, tmp_path, monkeypatch, changes):
    """Backbone and head, as they are evaluated: of the moving average."""
    run = trained(changes)
    options = tiny(root, tmp_path / "more", {**changes, "model.weights": str(run / "last"), "ema": 0.0})
    built = []

    def stop(trainer):
        built.append(trainer.model.state_dict())
        raise InterruptedError

    monkeypatch.setattr("atmnet.engine.trainer.Trainer.run", stop)
    with pytest.raises(InterruptedError):
        train(options)
    expected = safetensors.torch.load_file(run / "last" / "model.safetensors")
    assert built[0].keys() <= expected.keys()  # BatchNorm of a backbone with weights is frozen, and counts no batches
    assert all(value.equal(expected[name]) for name, value in built[0].items())
    assert load_network(str(run)).classes
