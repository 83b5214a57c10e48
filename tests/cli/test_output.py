"""Where the run cannot be written, or something else lies: one line, and what was there stays as it is."""

import os
import resource
import subprocess

import pytest

from atmnet.engine import load_checkpoint
from atmnet_cli.command import main
from tests.engine.runs import complete_checkpoints, litter
from tests.processes import Command


def _content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize("below", ["file/run", "file"])
def test_a_file_in_the_way(atmnet, quick, tmp_path, below):
    (tmp_path / "file").write_text("mine")
    quick[-1] = tmp_path / below
    told = f"output: {tmp_path / 'file'}: expected a folder, but there is a file of this name"
    assert atmnet(*quick).error == told
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(atmnet, quick, tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o500)
    quick[-1] = tmp_path / "theirs" / "run"
    assert atmnet(*quick).error == f"output: {tmp_path / 'theirs'}: nothing can be written to this folder"


def test_another_run(atmnet, quick, tmp_path):
    assert atmnet(*quick).status == 0
    before = _content(tmp_path / "run")
    assert "run holds another run: seed was 0, is 1. Choose another folder" in atmnet(*quick, "--seed=1").error
    assert _content(tmp_path / "run") == before


def test_foreign_files(atmnet, quick, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    assert "holds files that are not a run's; choose another folder" in atmnet(*quick).error
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_the_same_command_twice(atmnet, quick, tmp_path):
    assert atmnet(*quick).status == 0
    before = _content(tmp_path / "run")
    again = atmnet(*quick)
    assert again.status == 0
    assert "this run is complete" in again.out
    assert _content(tmp_path / "run") == before


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB, and a way to enlarge it."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(*options):
        done = subprocess.run(["mount", *options, "-t", "tmpfs", "tmpfs", disk], capture_output=True, check=False)
        return done.returncode == 0

    if os.geteuid() != 0 or not mount("-o", "size=2m"):
        pytest.skip("cannot mount a file system here")
    yield disk, lambda megabytes: mount("-o", f"remount,size={megabytes}m")
    subprocess.run(["umount", disk], check=True)


def test_no_space_left(atmnet, quick, small_disk):
    """Before the first step; then at a checkpoint, while the one before stays; with space, it goes on."""
    disk, enlarge = small_disk
    quick[-1] = disk / "run"
    quick += ["--checkpoint_every=1", "--optim.opt=adamw"]
    expected = f"output: {disk / 'run'}: no checkpoint can be written there: No space left on device"
    assert atmnet(*quick).last_error == expected
    assert litter(disk / "run") == []
    assert complete_checkpoints(disk / "run") == []

    assert enlarge(30)  # a checkpoint takes 12
    told = f"output: {disk / 'run'}: No space left on device at the checkpoint of step "
    assert atmnet(*quick).last_error.startswith(told)
    assert litter(disk / "run") == []
    kept = complete_checkpoints(disk / "run")
    assert len(kept) == 2
    assert load_checkpoint(disk / "run" / "last")[1]["step"] == int(kept[-1].name[5:])

    assert enlarge(80)
    result = atmnet(*quick)
    assert result.status == 0
    assert f"going on after step {int(kept[-1].name[5:])}" in result.out
    assert load_checkpoint(disk / "run" / "last")[1]["step"] == 6


def _main_with_small_files(words):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    return main(words)


def test_files_may_not_grow(quick, tmp_path):
    """As on a full disk, in a process of its own: no traceback by any thread either."""
    done = Command(_main_with_small_files, [str(word) for word in quick]).finish()
    assert done.returncode == 2
    assert done.stderr == (
        f"atmnet: error: output: {tmp_path / 'run'}: no checkpoint can be written there: File too large\n"
    )
    assert litter(tmp_path / "run") == []
