"""A path that results cannot be written to is refused before the work, and nothing is written."""

import os

import pytest

from atmnet_cli.errors import UserError
from atmnet_cli.output_paths import check_output_file, check_output_folder

MODEL, DIGITS = "atmnet_nano.digits", "--data.source=digits"
#: Commands whose last argument is the name of a folder.
FOLDERS = {
    "predict": ["predict", MODEL, "picture.png", "--output"],
    "evaluate": ["evaluate", MODEL, DIGITS, "--output"],
    "train": ["train", "--config", "digits", "--output"],
    "compare": ["compare", "--config", "compare_digits", "--output"],
    "convert": ["convert", "--to=folder", DIGITS, "--output"],
    "make-scenes": ["make-scenes"],
    "weights": ["weights", "export", MODEL],
}
#: Commands whose last argument is the name of a file, and an ending that it may have.
FILES = {
    "report": ([*FOLDERS["evaluate"][:-1], "--report"], ".html"),
    "sheet": ([*FOLDERS["predict"][:-1], "--sheet"], ".png"),
    "embed": (["embed", MODEL, "picture.png", "--output"], ".npz"),
    "benchmark": (["benchmark", "--models=atmnet_nano", "--output"], ".json"),
    "export": (["export", MODEL, "--output"], ".onnx"),
}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("mine")


@pytest.mark.parametrize("command", FOLDERS.values(), ids=FOLDERS)
def test_folders(atmnet, tmp_path, command):
    assert "got a.csv, expected the name of a folder, in which files are written" in atmnet(*command, "a.csv").error
    for path in ("taken", "taken/deep/er"):
        assert "taken: expected a folder, but there is a file of this name" in atmnet(*command, path).error
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize(("command", "ending"), FILES.values(), ids=FILES)
def test_files(atmnet, tmp_path, command, ending):
    assert "ends in .html" in atmnet(*FILES["report"][0], "a.txt").error
    assert "picture file" in atmnet(*FILES["sheet"][0], "a.txt").error
    message = atmnet(*command, f"taken/a{ending}").error
    assert message.endswith("taken: expected a folder, but there is a file of this name")
    (tmp_path / f"folder{ending}").mkdir()
    assert "expected a file, but there is a folder of this name" in atmnet(*command, f"folder{ending}").error
    assert {path.name for path in tmp_path.iterdir()} == {"taken", f"folder{ending}"}


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # the administrator may write everywhere
    for check in (
        lambda: check_output_folder(tmp_path / "new" / "run", "output"),
        lambda: check_output_file(tmp_path / "new.json", "output", [".json"]),
    ):
        with pytest.raises(UserError, match=r"output: .*: nothing can be written to this folder"):
            check()


def test_names_that_look_odd_but_are_good(tmp_path):
    (tmp_path / "old.json").mkdir()
    for name in ("run.v1.2", "2026.11", "old.json", ""):
        check_output_folder(tmp_path / name, "output")
    check_output_file(tmp_path / "new" / "A.JSON", "output", [".json"])
