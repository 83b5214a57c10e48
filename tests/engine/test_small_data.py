"""Recipes on little data: two epochs beat chance, the moving average keeps up, and the run says what it did."""

from multiprocessing.process import BaseProcess

import pytest

from atmnet.engine import load_checkpoint, read_metrics, train
from atmnet_cli.errors import UserError
from benchmarks import small_data
from tests.engine.runs import assert_same_run, tiny


def _result(tmp_path, data, images):
    result = small_data.train({"data": data, "images": images, "seed": 0}, tmp_path, held_out=100)
    assert result["ema"] > result["raw"] - 1
    return result


def test_twenty_images_beat_chance_after_two_epochs(tmp_path, capfd):
    result = _result(tmp_path, "digits", 20)
    assert result["ema"] > 1.4 * result["chance"]
    out = capfd.readouterr().out
    assert "from random weights; so few usually need pretrained ones: --model.weights" in out
    assert "an epoch of 20 steps passes over the 20 images 32.0 times (min_epoch_steps)" in out
    assert "optim.warmup_epochs: 2 epochs of warm-up do not fit this run" in out
    lines = [line for line in read_metrics(tmp_path / "digits-20-0") if line["kind"] == "train"]
    assert len(lines) == 20
    assert max(line["lr"] for line in lines) == pytest.approx(2e-4, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("images", small_data.SIZES)
@pytest.mark.parametrize("data", ["digits", "crops", "mosaics"])
def test_two_epochs_beat_chance(tmp_path, data, images):
    result = _result(tmp_path, data, images)
    assert result["ema"] > 1.4 * result["chance"]


def test_the_average_of_a_short_run_has_left_the_initial_weights(root, tmp_path):
    changes = {"ema": 0.9999, "epochs": 2, "optim.warmup_epochs": 0}
    distances = []
    for name, warmup in (("warm", True), ("cold", False)):
        train(tiny(root, tmp_path / name, {**changes, "ema_warmup": warmup}))
        average, trainer = load_checkpoint(tmp_path / name / "last")
        distances.append(sum(float((average[key] - trainer["model"][key]).norm()) for key in average))
    assert distances[0] < distances[1] / 5


def test_a_run_of_an_earlier_version_goes_on_without_warm_up(root, tmp_path, trained, die_after):
    changes = {"ema": 0.9, "epochs": 3}
    died = die_after(5)
    with pytest.raises(died):
        train(tiny(root, tmp_path / "run", {**changes, "ema_warmup": False}))
    die_after(None)
    record = tmp_path / "run" / "options.json"
    text = record.read_text()
    assert '  "ema_warmup": false,\n' in text
    record.write_text(text.replace('  "ema_warmup": false,\n', "").replace('  "min_epoch_steps": 1,\n', ""))
    with pytest.raises(UserError, match="ema_warmup was False, is True"):
        train(tiny(root, tmp_path / "run", changes))
    train(tiny(root, tmp_path / "run", {**changes, "ema_warmup": False}))
    assert_same_run(tmp_path / "run", trained({**changes, "ema_warmup": False}))


def test_epochs_of_several_passes_resume_exactly(root, tmp_path, die_after):
    changes = {"batch_size": 32, "min_epoch_steps": 2, "epochs": 2, "ema": 0.99, "checkpoint_every": 1}
    train(tiny(root, tmp_path / "whole", changes))
    died = die_after(3)
    with pytest.raises(died):
        train(tiny(root, tmp_path / "parts", changes))
    die_after(None)
    train(tiny(root, tmp_path / "parts", changes))
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_a_batch_of_more_images_than_there_are_says_what_to_set(root, tmp_path):
    with pytest.raises(UserError, match=r"batch_size: got 32, more than the 24 .* lower it, or set --min_epoch_steps"):
        train(tiny(root, tmp_path / "run", {"batch_size": 32}))


def test_which_weights_it_starts_from(root, tmp_path, trained, capsys):
    run = trained({"epochs": 2})
    train(tiny(root, tmp_path / "run", {"epochs": 2, "model.weights": str(run)}))
    assert f", from the weights in {run}\n" in capsys.readouterr().out


def test_loader_processes_start_once_for_all_epochs(root, trained, tmp_path, monkeypatch):
    """A step waits for them as long as they take to start; an evaluation of a single batch does without."""
    started = []
    start = BaseProcess.start

    def counted(process):
        started.append(process.name)  # a process that is kept keeps its descriptors
        start(process)

    monkeypatch.setattr(BaseProcess, "start", counted)
    changes = {"evaluate_every": 1}
    train(tiny(root, tmp_path / "run", {**changes, "data.workers": 1}))
    assert len(started) == 1
    assert_same_run(tmp_path / "run", trained(changes))
