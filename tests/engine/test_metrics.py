"""metrics.jsonl: a line at the steps promised, none lost, none twice."""

import itertools

import pytest
import torch

from atmnet.engine import read_metrics, train
from atmnet_cli.errors import UserError
from tests.engine.runs import RARE_LINES, assert_same_run, complete_checkpoints, metrics, tiny, weights


def test_lines(root, tmp_path):
    changes = {"log_every": 4, "epochs": 4, "evaluate_every": 3, "optim.warmup_epochs": 2, "ema": 0.9}
    train(tiny(root, tmp_path / "run", changes))
    lines = read_metrics(tmp_path / "run")
    assert [(line["kind"], line["step"]) for line in lines] == [
        ("train", 4), ("train", 8), ("evaluate", 9), ("train", 12), ("evaluate", 12),
    ]  # fmt: skip
    for line in lines:
        assert line["epoch"] == pytest.approx(line["step"] / 3, abs=1e-4)
        assert 0 < line["loss"] < 5
        if line["kind"] == "train":
            assert line["images_seen"] == 8 * line["step"]
            assert line["grad_norm"] > 0
            assert line["images_per_second"] > 0
            assert line["unreadable"] == 0
        else:
            assert line["images"] == 12
            assert line["top1"] * 12 / 100 == pytest.approx(round(line["top1"] * 12 / 100))
            assert "top5" not in line  # of three classes
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)


#: A line for every step, and a rate that rises for half of them.
EVERY_STEP = {"log_every": 1, "evaluate_every": 9, "optim.warmup_epochs": 2}


def _training_lines(folder):
    return [line for line in metrics(folder) if line["kind"] == "train"]


def test_loss_is_the_mean_since_the_last_line(trained):
    single, double = trained(EVERY_STEP), trained({**EVERY_STEP, "log_every": 2})
    ones, twos = ([line["loss"] for line in _training_lines(folder)] for folder in (single, double))
    assert twos == pytest.approx([(a + b) / 2 for a, b in zip(ones[::2], ones[1::2], strict=True)])


def test_warm_up_then_cosine(root, trained):
    folder = trained(EVERY_STEP)
    optim = tiny(root, folder, EVERY_STEP).optim
    rates = [line["lr"] for line in _training_lines(folder)]
    assert rates[0] == pytest.approx(optim.warmup_lr)
    assert rates[:6] == sorted(rates[:6])
    assert max(rates) <= optim.lr
    assert rates[6:] == sorted(rates[6:], reverse=True)
    steps = [b - a for a, b in itertools.pairwise(rates[:6])]
    assert steps == pytest.approx([steps[0]] * 5)  # every step, not once an epoch


def test_save_before_the_first_line_after_a_resume(root, trained, tmp_path, die_after):
    """Such a checkpoint must count the bytes that the cut file has, not those that it had."""
    parts = tiny(root, tmp_path / "parts", RARE_LINES)
    with pytest.raises(die_after(7)):  # after the line of step 7; the last checkpoint is from step 4
        train(parts)
    assert [line["step"] for line in metrics(tmp_path / "parts")] == [7]
    parts.checkpoint_every = 5
    with pytest.raises(die_after(3)):  # again after that line, and now from step 5 on
        train(parts)
    assert [path.name for path in complete_checkpoints(tmp_path / "parts")][-1] == "step-00000005"
    die_after(None)
    train(parts)
    assert_same_run(trained(RARE_LINES), tmp_path / "parts")


def test_deleted_metrics_start_anew(root, tmp_path, die_after):
    options = tiny(root, tmp_path / "run", {"log_every": 2})
    with pytest.raises(die_after(9)):
        train(options)
    (tmp_path / "run" / "metrics.jsonl").unlink()
    die_after(None)
    train(options)
    assert [line["step"] for line in metrics(tmp_path / "run")] == [10, 12, 12]


def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(root, tmp_path):
    changes = {"optim.lr": 1e30, "optim.opt": "sgd", "log_every": 12, "checkpoint_every": 1, "keep": 3}
    with pytest.raises(UserError, match=r"optim.lr: .*(nan|inf|not finite) at step \d+; try a lower learning rate"):
        train(tiny(root, tmp_path / "run", changes))
    for value in weights(tmp_path / "run").values():
        assert torch.isfinite(value).all()
    for line in metrics(tmp_path / "run"):
        assert line["loss"] == line["loss"]


def test_a_norm_that_overflows_is_null(root, tmp_path, monkeypatch):
    """In float16, now and then: the step is skipped, the loss is finite, and the line is valid JSON."""
    monkeypatch.setattr("torch.nn.utils.get_total_norm", lambda gradients: torch.tensor(float("inf")))
    train(tiny(root, tmp_path / "run", {"epochs": 2, "log_every": 1, "optim.clip_grad": None}))
    text = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert "Infinity" not in text
    assert [line["grad_norm"] for line in read_metrics(tmp_path / "run") if line["kind"] == "train"] == [None] * 6
