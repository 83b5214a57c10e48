"""A run resumes on the data that it started with, or says what has changed."""

import json
import shutil

import pytest

from atmnet.engine import train
from atmnet_cli.errors import UserError
from tests.engine.runs import assert_same_run, tiny


@pytest.fixture
def stopped(root, trained, tmp_path):
    """A copy of the data, and a run on it that has lost its last checkpoint."""
    data, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(root, data)
    shutil.copytree(trained({}), run, symlinks=True)
    shutil.rmtree(run / "checkpoints" / "step-00000012")
    options = json.loads((run / "options.json").read_text())
    options["data"]["root"] = str(data)
    (run / "options.json").write_text(json.dumps(options))
    return data, run


def _refused(stopped, line, changes=None):
    data, run = stopped
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=line) as caught:
        train(tiny(data, run, changes))
    assert "\n" not in str(caught.value)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_renamed_class_is_refused_whatever_is_allowed(stopped, trained):
    data, run = stopped
    for split in ("train", "val"):
        (data / split / "five").rename(data / split / "vijf")
    line = r"data\.train: class 'five' was renamed 'vijf' since .*, so that labels would be swapped; .*--model\.weights"
    _refused(stopped, line)
    _refused(stopped, line, {"allow_data_change": True})
    (run / "data.json.gz").unlink()  # as in a run of an earlier version: its checkpoint has the names
    _refused(stopped, "data.train: class 'five' is missing; class 'vijf' was added since")
    for split in ("train", "val"):
        (data / split / "vijf").rename(data / split / "five")
    train(tiny(data, run))
    assert_same_run(trained({}), run)


def test_other_images_are_refused_unless_they_are_allowed(stopped, capsys):
    data, run = stopped
    (data / "train" / "two" / "two-0.png").rename(data / "train" / "two" / "two-99.png")
    line = "1 image is missing, e.g. two/two-0.png; 1 image was added, e.g. two/two-99.png"
    _refused(stopped, f"data.train: {line} since this run started; restore the data, or pass --allow_data_change true")
    train(tiny(data, run, {"allow_data_change": True}))
    assert f"data.train: {line} since this run started; going on with the data as they are" in capsys.readouterr().out
    train(tiny(data, run))  # what was allowed is recorded


def test_other_validation_images_are_refused(stopped):
    data, _ = stopped
    (data / "val" / "two" / "two-0.png").unlink()
    _refused(stopped, r"data\.val: 1 image is missing, e\.g\. two/two-0\.png since")


def test_a_validation_image_that_was_mended_is_only_named(stopped, trained, capsys):
    """After an evaluation that failed because of it; training does not depend on it."""
    data, run = stopped
    with (data / "val" / "two" / "two-0.png").open("ab") as file:
        file.write(b"\0")
    train(tiny(data, run))
    assert (
        "data.val: 1 image has another size, e.g. two/two-0.png since this run started; going on"
        in capsys.readouterr().out
    )
    assert_same_run(trained({}), run)


def test_a_run_without_a_record_goes_on_with_a_note(stopped, trained, capsys):
    data, run = stopped
    (run / "data.json.gz").unlink()
    train(tiny(data, run))
    assert "an earlier version did not record the data; they are taken to be the same" in capsys.readouterr().out
    assert_same_run(trained({}), run)
    assert (run / "data.json.gz").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"\x1f\x8b\x08" + bytes(30), None])
def test_a_damaged_record(stopped, content):
    _, run = stopped
    path = run / "data.json.gz"
    path.write_bytes(path.read_bytes()[:-20] if content is None else content)
    _refused(stopped, r"data\.json\.gz: .*; remove it to resume without comparing the data")
