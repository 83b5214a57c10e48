"""Nothing of an export stays beside its file, whether it failed or was killed."""

from contextlib import suppress

import pytest

from atmnet.export.checked import _folder_beside

fcntl = pytest.importorskip("fcntl")


def test_what_killed_exports_left_is_removed(tmp_path):
    """But not the folder of one that is running, nor that of another file."""
    path = tmp_path / "a.onnx"
    left, other = tmp_path / ".a.onnx.1.tmp", tmp_path / ".b.onnx.3.tmp"
    for folder in (left, other):
        folder.mkdir()
        (folder / "a.onnx").write_text("half")
    with _folder_beside(path) as running:
        assert not left.exists()
        with _folder_beside(path) as second:
            assert running.exists()
            assert second != running
        assert not second.exists()
    assert not running.exists()
    assert other.exists()


def test_a_failed_export_leaves_nothing(tmp_path):
    with suppress(KeyError), _folder_beside(tmp_path / "a.onnx") as folder:
        (folder / "a.onnx").write_text("half")
        raise KeyError
    assert list(tmp_path.iterdir()) == []
