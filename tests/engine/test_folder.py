"""Whose a folder is: a run is gone on with, or left exactly as it is."""

import time
from pathlib import Path

import pytest

from atmnet.engine import read_options, train
from atmnet_cli.errors import UserError
from tests.engine.runs import litter, metrics, tiny
from tests.processes import start


def _content(folder: Path):
    """Every file's bytes and every link's target."""
    return {
        str(path.relative_to(folder)): path.readlink() if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def done(trained):
    """A run that is complete."""
    return trained({"epochs": 2})


def test_a_complete_run_stays_as_it_is(root, done, capsys):
    before = _content(done)
    train(tiny(root, done, {"epochs": 2}))
    assert "this run is complete; best top-1" in capsys.readouterr().out
    assert _content(done) == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 1}, r"holds another run: seed was 0, is 1\. Choose another folder"),
        ({"optim.lr": 2e-3, "batch_size": 12}, r"batch_size was 8, is 12; optim.lr was 0.001, is 0.002\."),
        ({"model.kwargs": {"drop_rate": 0.1}}, r"model.kwargs.drop_rate was None, is 0.1"),
        ({"epochs": 3}, r"epochs: this run was planned for 2 epochs of 3 steps, .* --model\.weights .*/last --output "),
        ({"augment.scale": (0.6, 1.0)}, r"augment.scale was \[0.5, 1.0\], is \[0.6, 1.0\]"),
    ],
)
def test_other_options_are_refused(root, done, changes, told):
    before = _content(done)
    with pytest.raises(UserError, match=told):
        train(tiny(root, done, {"epochs": 2, **changes}))
    assert _content(done) == before


def test_a_run_killed_while_it_tried_to_save_starts_again(root, tmp_path):
    """Nothing is recorded then but an unfinished checkpoint; one of others is still refused."""
    unfinished = tmp_path / "checkpoints" / ".step-00000000.tmp"
    unfinished.mkdir(parents=True)
    (unfinished / "model.safetensors").write_bytes(b"half")
    (tmp_path / ".lock").touch()
    train(tiny(root, tmp_path, {"epochs": 1}))
    assert litter(tmp_path) == []
    (tmp_path / "other" / "checkpoints").mkdir(parents=True)
    (tmp_path / "other" / "checkpoints" / "epoch1.ckpt").touch()
    with pytest.raises(UserError, match="holds files that are not a run's"):
        train(tiny(root, tmp_path / "other"))


def test_foreign_files_are_refused(root, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds files that are not a run's; choose another folder"):
        train(tiny(root, tmp_path))
    assert _content(tmp_path) == {"thesis.txt": b"mine"}


def test_a_run_without_a_checkpoint_may_be_changed(root, tmp_path, die_after):
    """Nothing is lost: a mistake in the first command needs no clean-up."""
    with pytest.raises(die_after(2)):
        train(tiny(root, tmp_path / "run", {"epochs": 2}))
    die_after(None)
    train(tiny(root, tmp_path / "run", {"epochs": 2, "seed": 5, "log_every": 2}))
    assert read_options(tmp_path / "run")["seed"] == 5
    assert [line["step"] for line in metrics(tmp_path / "run")] == [2, 4, 6, 6]


def test_a_refused_start_leaves_no_run_behind(root, tmp_path):
    with pytest.raises(UserError):
        train(tiny(root, tmp_path / "run", {"batch_size": 1000}))
    assert _content(tmp_path / "run") in ({}, {".lock": b""})
    train(tiny(root, tmp_path / "run", {"epochs": 2}))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_folder_in_use_is_refused_until_its_process_is_gone(root, tmp_path, workers):
    """Gone in any way: loader processes, which outlive a SIGKILL by seconds, hold nothing back."""
    options = tiny(root, tmp_path / "run", {"epochs": 500, "data.workers": workers, "evaluate_every": 500})
    process = start(train, options)
    _wait_for_line(process, tmp_path / "run", 1)
    with pytest.raises(UserError, match="is in use by another process"):
        train(options)
    assert process.is_alive()
    process.kill()
    process.join()
    after = start(train, options)
    _wait_for_line(after, tmp_path / "run", metrics(tmp_path / "run")[-1]["step"] + 1)
    assert after.is_alive()
    after.kill()
    after.join()


def _wait_for_line(process, folder, step):
    """Until metrics of this step or a later one are written, or the process has ended."""
    while process.is_alive() and not any(line["step"] >= step for line in metrics(folder)):
        time.sleep(0.02)
