"""The public interface is that of the latest release, but for changes that the changelog names."""

import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("griffe")
api = pytest.importorskip("website.api")

ROOT = Path(__file__).parents[2]


def _unreleased() -> str:
    return (ROOT / "CHANGELOG.md").read_text("utf-8").partition("## Unreleased")[2].partition("\n## ")[0]


def test_the_changelog_names_what_breaks():
    """By its public name, as in `atmnet.ops.sample_along`."""
    unnamed = [line for name, line in api.breaking_changes(api.recorded(), api.current()) if name not in _unreleased()]
    assert not unnamed, "name these in CHANGELOG.md, under Unreleased"


def test_every_public_name_is_recorded_or_new():
    assert set(api.recorded()) <= set(api.current()) | set(re.findall(r"`(atmnet[\w.]+)`", _unreleased()))


#: Files, what is changed in them, and what that breaks.
CHANGES = [
    ("atmnet/ops/_dispatch.py", "x: Tensor, offset: Tensor, dim: int", "x: Tensor, shift: Tensor, dim: int",
     "atmnet.ops.sample_along", "Parameter was removed"),
    ("atmnet/interface.py", 'device: str = "auto", batch_size: int', 'device: str = "cpu", batch_size: int',
     "atmnet.load", "Parameter default was changed"),
    ("atmnet_runtime.py", "    boxes: Array\n", "    rectangles: Array\n", "atmnet_runtime.Objects", "removed"),
    ("atmnet/ops/__init__.py", ', "sample_branches"]', "]", "atmnet.ops.sample_branches", "was removed"),
]  # fmt: skip


def test_a_changed_interface_is_noticed(tmp_path):
    sources = tmp_path / "src"
    shutil.copytree(ROOT / "src", sources, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    for file, old, new, _, _ in CHANGES:
        text = (sources / file).read_text("utf-8")
        assert old in text
        (sources / file).write_text(text.replace(old, new), "utf-8")
    changes = list(api.breaking_changes(api.current(), api.current(sources)))
    assert {name for name, _ in changes} == {name for *_, name, _ in CHANGES}
    for *_, name, change in CHANGES:
        assert any(change in line for each, line in changes if each == name), changes
