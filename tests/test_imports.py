"""Imports run one way through the house, and ``import atmnet`` and ``atmnet --help`` load no more than they need."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import atmnet

SOURCES = Path(atmnet.__file__).parents[1]
# From the bottom up. A part imports from rows before its own, never from its own row or from above.
ROWS = [
    ("atmnet_cli", "atmnet_runtime"),
    ("files", "records", "threads", "ops"),
    ("layers",),
    ("models", "necks", "heads"),
    ("benchmark", "data"),
    ("tasks", "conversion"),
    ("engine",),
    ("predictions", "integrations"),
    ("comparison",),
    ("report", "export"),
    ("explore",),
    ("interface",),
    ("cli",),
]
RANK = {name: i for i, row in enumerate(ROWS) for name in row}
#: The only parts that may import ``atmnet_runtime``: they read pictures as it does, or run exported files.
RUN_FILES = {"data", "tasks", "export"}


def part_of(module: str) -> str | None:
    """'data' for ``atmnet.data.loader``, 'atmnet_cli' for its modules; None for ``atmnet`` and for other packages."""
    package, _, rest = module.partition(".")
    if package == "atmnet":
        return rest.partition(".")[0] or None
    return package if package.startswith("atmnet_") else None


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCES).with_suffix("").parts)


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports anywhere; ``from a import b`` gives a and a.b."""
    here = module_name(path).split(".")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            if base == "atmnet":
                yield from (f"atmnet.{alias.name}" for alias in node.names if alias.name in RANK)


FILES = sorted(path for path in SOURCES.rglob("*.py") if module_name(path) != "atmnet.__init__")


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_layering(path):
    own = part_of(module_name(path))
    assert own in RANK, f"{own} has no place in the layering: add it to ROWS and to docs/architecture.md"
    for module in imported(path):
        other = part_of(module)
        if other is None or other == own:
            continue
        assert other in RANK, f"{module} has no place in the layering"
        assert RANK[other] < RANK[own], f"{own} must not import {module}: it is not below"
        assert other != "atmnet_runtime" or own in RUN_FILES, f"{own} runs no exported files: must not import {module}"


def test_the_parser_sees_every_kind_of_import(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SOURCES", tmp_path)
    (tmp_path / "atmnet" / "ops").mkdir(parents=True)
    path = tmp_path / "atmnet" / "ops" / "file.py"
    path.write_text(
        "import atmnet.layers.atm\nfrom atmnet import models\ndef f():\n    from ..engine.trainer import train\n"
        "    from ..tasks import x\n    from . import y\n    from .. import data\nimport atmnet_runtime, os\n"
    )
    assert {part_of(name) for name in imported(path)} == {
        "layers", "models", "engine", "tasks", "data", "ops", "atmnet_runtime", None,
    }  # fmt: skip


def modules_loaded_by(statement: str, after: str = "") -> set[str]:
    """What ``statement`` loads in a fresh interpreter, beyond what the one before it has loaded."""
    code = f"import sys\n{after}\nbefore = set(sys.modules)\n{statement}\nprint(*sys.modules.keys() - before)"
    env = {**os.environ, "PYTHONPATH": str(SOURCES)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_atmnet_loads_the_models_and_nothing_beyond_timm():
    more = modules_loaded_by("import atmnet", after="import timm")
    assert {"atmnet.models", "atmnet.layers", "atmnet.ops"} <= more
    assert {name.partition(".")[0] for name in more} - sys.stdlib_module_names == {"atmnet"}
    assert {part_of(name) for name in more if name.startswith("atmnet")} == {None, "models", "layers", "ops"}


@pytest.mark.parametrize("module", ["atmnet_cli.options", "atmnet_cli.command"])
def test_the_command_line_imports_nothing_heavy(module):
    loaded = modules_loaded_by(f"import {module}")
    assert module in loaded
    assert not loaded & {"torch", "torchvision", "timm", "atmnet", "numpy", "PIL"}
