"""The examples in docstrings run and print what they say."""

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch

import atmnet

SOURCES = Path(__file__).parents[1] / "src"
#: Libraries that a module with examples needs and that are no dependencies.
OPTIONAL = {"atmnet.integrations.mmengine": "mmengine"}


def _modules() -> Iterator[str]:
    for path in sorted(SOURCES.rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(SOURCES).with_suffix("").parts)
            yield name.removesuffix(".__init__")


@pytest.mark.parametrize("name", list(_modules()))
def test_examples(name, tmp_path, monkeypatch):
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name])
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    names = {"atmnet": atmnet, "timm": timm, "torch": torch, **vars(module)}
    tests = [test for test in doctest.DocTestFinder().find(module, globs=names) if test.examples]
    assert tests
    for test in tests:
        result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
        assert result.failed == 0, f"{test.name}: see what doctest printed above"
