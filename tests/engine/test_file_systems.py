"""A run needs nothing of a file system but files, folders and renaming: no links, no locks, no flushing of folders."""

import errno
import os
import shutil
import stat

import pytest

from atmnet.engine import claim, find_run, read_options, train
from atmnet.files import point_to, pointed_at
from atmnet.integrations.hub import from_pretrained
from atmnet.tasks import load_network
from atmnet.tasks.weights import find_checkpoint
from tests.engine.runs import metrics, tiny


@pytest.fixture
def whole(trained):
    """A complete run, made where there are links."""
    return trained({})


@pytest.fixture
def bare(whole, monkeypatch):
    """A file system that has none of these."""
    flush = os.fsync

    def refused(*_, **__):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def flush_files(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        flush(handle)

    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(os, "symlink", refused)
    monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(os, "fsync", flush_files)
    monkeypatch.setattr(claim.fcntl, "lockf", no_locks)


def test_a_run_without_links_and_locks(bare, root, whole, tmp_path, die_after):
    run = tmp_path / "run"
    with pytest.raises(die_after(9)):
        train(tiny(root, run))
    die_after(None)
    train(tiny(root, run))
    assert metrics(run) == metrics(whole)
    assert not any(path.is_symlink() for path in run.rglob("*"))
    for name in ("best", "last"):
        assert find_checkpoint(run / name) == run / "checkpoints" / (whole / name).resolve().name
        for file in ("model.safetensors", "trainer.safetensors", "config.json"):
            assert (find_checkpoint(run / name) / file).read_bytes() == (whole / name / file).read_bytes()
        assert find_run(run / name) == run
        assert read_options(run / name)["batch_size"] == 8
        assert from_pretrained(run / name).classes == ["eight", "five", "two"]
    assert find_checkpoint(run) == find_checkpoint(run / "best")
    train(tiny(root, run))  # complete, and stays so


@pytest.fixture
def copied(whole, tmp_path):
    """A complete run, as a program that follows links has copied it."""
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def test_a_copy_that_has_folders_for_links_is_resumed(copied, root):
    assert (copied / "last").is_dir()
    assert not (copied / "last").is_symlink()
    shutil.rmtree(copied / "checkpoints" / "step-00000012")
    train(tiny(root, copied))
    assert (copied / "last").is_symlink()
    assert find_checkpoint(copied / "last").resolve().name == "step-00000012"


def test_a_copy_that_has_lost_its_links_is_found(copied):
    expected = {name: (copied / name / "model.safetensors").read_bytes() for name in ("best", "last")}
    for name in expected:
        shutil.rmtree(copied / name)
    for name, content in expected.items():
        assert (find_checkpoint(copied / name) / "model.safetensors").read_bytes() == content
    assert (find_checkpoint(copied) / "model.safetensors").read_bytes() == expected["best"]
    assert load_network(str(copied)).classes == ["eight", "five", "two"]


def test_only_a_folder_below_is_pointed_at(tmp_path):
    inside, outside = tmp_path / "run" / "checkpoints" / "step-1", tmp_path / "outside"
    inside.mkdir(parents=True)
    outside.mkdir()
    pointer = tmp_path / "run" / "best"
    for text in ("../outside", str(outside), "", ".", "missing", "\0", "a" * 5000):
        pointer.write_text(text)
        assert pointed_at(pointer) == pointer
    pointer.write_bytes(b"\xff")
    assert pointed_at(pointer) == pointer
    pointer.write_text("checkpoints/step-1\n")
    assert pointed_at(pointer) == inside
    pointer.unlink()
    pointer.mkdir()
    (pointer / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="is in the way; move it"):
        point_to(pointer, inside)
    assert (pointer / "notes.txt").exists()
