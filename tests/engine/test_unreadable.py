"""Broken images: in training skipped, named and counted, up to a share; in evaluation never."""

import shutil

import pytest

from atmnet.engine import load_checkpoint, train
from atmnet.engine.trainer import Trainer
from atmnet_cli.errors import UserError
from tests.engine.runs import assert_same_run, metrics, tiny


@pytest.fixture
def broken(root, tmp_path):
    """A function: a copy of the data with so many broken images in a split."""

    def spoil(split, count):
        copy = tmp_path / "digits"
        shutil.copytree(root, copy)
        for path in sorted((copy / split).rglob("*.png"))[:count]:
            path.write_bytes(path.read_bytes()[:60])
        return copy

    return spoil


def test_skipped_named_counted_and_resumed_with_the_same_bits(broken, tmp_path, capsys, die_after):
    copy, changes = broken("train", 2), {"data.max_unreadable": 0.1, "log_every": 1}
    whole, parts = (tiny(copy, tmp_path / name, changes) for name in ("whole", "parts"))
    train(whole)
    errors = capsys.readouterr().err
    for name in ("eight/eight-0.png", "eight/eight-1.png"):
        assert errors.count(f"skipped an unreadable image: {name} (") == 1
    counts = [line["unreadable"] for line in metrics(tmp_path / "whole") if line["kind"] == "train"]
    assert counts == sorted(counts)
    assert counts[-1] == 2

    with pytest.raises(die_after(9)):
        train(parts)
    die_after(None)
    train(parts)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize(("count", "workers"), [(2, 0), (24, 0), (24, 2)])
def test_too_many(broken, tmp_path, count, workers):
    copy = broken("train", count)
    with pytest.raises(
        UserError, match=r"data.max_unreadable: \d+ of 24 training images are unreadable, more than 5 %"
    ):
        train(tiny(copy, tmp_path / "run", {"data.workers": workers}))


@pytest.mark.parametrize("epochs", [2, 4])  # the evaluation is the run's last, or one in between
def test_evaluation_leaves_none_out_and_training_is_kept(broken, root, trained, tmp_path, monkeypatch, epochs):
    copy, changes = broken("val", 1), {"epochs": epochs}
    with pytest.raises(UserError, match=r"unreadable image in evaluation: eight/eight-0.png \("):
        train(tiny(copy, tmp_path / "parts", changes))
    kept = load_checkpoint(tmp_path / "parts" / "last")[1]["step"]
    assert kept == 6
    shutil.copy(root / "val" / "eight" / "eight-0.png", copy / "val" / "eight" / "eight-0.png")
    steps = []
    step = Trainer._take_step
    monkeypatch.setattr(Trainer, "_take_step", lambda self, batches: steps.append(self.step) or step(self, batches))
    train(tiny(copy, tmp_path / "parts", changes))
    assert steps == list(range(kept, 3 * epochs))
    monkeypatch.undo()
    assert_same_run(trained(changes), tmp_path / "parts")
