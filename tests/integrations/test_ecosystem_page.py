"""Every snippet of docs/ecosystem.md runs by itself and gives the shapes that its comments say."""

import ast
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch

from atmnet.tasks.classifier import build_classifier
from atmnet_cli.options import ModelOptions
from tests import golden

PAGE = Path(__file__).parents[2] / "docs" / "ecosystem.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
#: ``name = expression  # (1, 2, 3)``
SHAPE = re.compile(r"^(\w+) = .*# \(([\d, ]+)\)$", flags=re.MULTILINE)


def libraries(snippet: str) -> set[str]:
    """Top-level packages that a snippet imports."""
    names = set()
    for node in ast.walk(ast.parse(snippet)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).partition(".")[0])
    return names


@pytest.fixture
def files(tmp_path, monkeypatch) -> None:
    """What the page supposes to lie in the present folder."""
    torch.save({"model": golden.official_weights(timm.create_model("atmnet_tiny"))}, tmp_path / "activemlp_tiny.pth")
    folder = tmp_path / "runs" / "digits" / "best"
    folder.mkdir(parents=True)
    classifier = build_classifier(ModelOptions(name="atmnet_nano"), [f"digit {k}" for k in range(10)], None)
    classifier.write_config(folder / "config.json")
    safetensors.torch.save_file(classifier.model.state_dict(), folder / "model.safetensors", {"format": "pt"})
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_it_runs(number: int, files: None) -> None:
    snippet = SNIPPETS[number]
    for name in sorted(libraries(snippet)):
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    names: dict[str, Any] = {}
    exec(compile(snippet, f"{PAGE.name}, snippet {number}", "exec"), names)
    for name, shape in SHAPE.findall(snippet):
        assert tuple(names[name].shape) == tuple(map(int, shape.split(","))), name


def test_every_library_has_a_snippet_that_says_shapes():
    said = set().union(*(libraries(snippet) for snippet in SNIPPETS if SHAPE.search(snippet)))
    assert said >= {"transformers", "segmentation_models_pytorch", "mmengine"}
