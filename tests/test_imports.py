"""Imports run one way through the house, and ``import atmnet`` and ``atmnet --help`` load no more than they need."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import atmnet

PACKAGE = Path(atmnet.__file__).parent
# From the bottom up: a row may import from those before it, and folders of one row are named together.
ROWS = [
    ("ops",),
    ("layers",),
    ("models", "necks", "heads"),
    ("benchmark",),
    ("tasks", "data"),
    ("engine",),
    ("report", "export", "integrations"),
    ("cli",),
]
RANK = {name: i for i, row in enumerate(ROWS) for name in row}
STRANGERS = {"models", "necks", "heads"}


def part_of(module: str) -> str | None:
    """The row's name of ``atmnet.NAME.more``; None for the package itself and for other packages."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] or None if package == "atmnet" else None


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports anywhere; ``from a import b`` gives a and a.b."""
    here = ["atmnet", *path.relative_to(PACKAGE).with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            if base == "atmnet":
                yield from (f"atmnet.{alias.name}" for alias in node.names if alias.name in RANK)


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem != "__init__")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_layering(path):
    own = part_of(".".join(["atmnet", *path.relative_to(PACKAGE).with_suffix("").parts]))
    assert own in RANK, f"{own} has no place in the layering: add it to ROWS and to the design"
    for module in imported(path):
        other = part_of(module)
        if other is None or other == own:
            continue
        assert RANK[other] <= RANK[own], f"{own} is below {other}: must not import {module}"
        assert not {own, other} <= STRANGERS, f"{own} and {other} do not know each other: must not import {module}"


def test_the_parser_sees_every_kind_of_import(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "ops").mkdir()
    path = tmp_path / "ops" / "file.py"
    path.write_text(
        "import atmnet.layers.atm\nfrom atmnet import models\ndef f():\n    from ..engine.train import train\n"
        "    from ..tasks import x\n    from . import y\n    from .. import data\n"
    )
    assert {part_of(name) for name in imported(path)} == {"layers", "models", "engine", "tasks", "data", "ops", None}


def modules_after(statement: str) -> set[str]:
    """What is loaded in a fresh interpreter after ``statement``."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_atmnet_loads_the_models_and_nothing_beyond_timm():
    more = modules_after("import atmnet") - modules_after("import timm")
    assert {"atmnet.models", "atmnet.layers", "atmnet.ops"} <= more
    assert {name.partition(".")[0] for name in more} - sys.stdlib_module_names == {"atmnet"}
    assert {part_of(name) for name in more if name.startswith("atmnet")} == {None, "models", "layers", "ops"}


@pytest.mark.parametrize("module", ["atmnet_options", "atmnet_cli"])
def test_the_command_line_imports_nothing_heavy(module):
    loaded = modules_after(f"import {module}")
    assert module in loaded
    assert not loaded & {"torch", "torchvision", "timm", "atmnet", "numpy", "PIL"}
