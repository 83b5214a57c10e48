"""The site has all pages, the reference all options, and the check of the built site finds what is wrong."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

pytest.importorskip("griffe")
pytest.importorskip("jupytext")

from atmnet_cli.command import _COMMANDS, RECIPES
from website import check, options, stage

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return dict(stage.texts())


def _pages(entry) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    return [page for each in (entry.values() if isinstance(entry, dict) else entry) for page in _pages(each)]


def test_the_navigation_lists_every_page_once(texts):
    listed = _pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    assert sorted(listed) == sorted(texts)


def _option_names(kind, prefix="") -> set[str]:
    names = set()
    for field in dataclasses.fields(kind):
        factory = field.default_factory
        if dataclasses.is_dataclass(factory):
            names |= _option_names(factory, f"{prefix}{field.name}.")
        else:
            names.add(prefix + field.name)
    return names


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_a_page_lists_every_option_of_its_command(texts, command):
    page = texts[f"reference/commands/{command}.md"]
    for name in _option_names(_COMMANDS[command]):
        assert f"\n`--{name}` " in page or f"\n`{name.upper()}` " in page, name


def test_the_page_of_recipes_lists_every_value(texts):
    page = texts["reference/recipes.md"]
    for path in RECIPES.glob("*.yaml"):
        section = page.partition(f"## {path.stem}\n")[2].partition("\n## ")[0]
        for option, value in options._flat(yaml.safe_load(path.read_text("utf-8"))):
            assert f"| `--{option}` | `{value}` |" in section, (path.stem, option)


def test_tables_link_to_their_records(texts):
    assert "(results/model.json)" in texts["performance.md"]
    assert all(
        (ROOT / "benchmarks" / link).is_file() for link in re.findall(r"\((results/[^)]+)\)", texts["records.md"])
    )


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="gone.html">x</a>', "a.html: links to gone.html, which is not there"),
        ('<a href="b.html#gone">x</a>', "a.html: links to b.html#gone, which has no such anchor"),
        ('<a href="#gone">x</a>', "a.html: links to #gone, which has no such anchor"),
        ('<img src="gone.png">', "a.html: links to gone.png, which is not there"),
        ('<script src="https://cdn.example/x.js"></script>', "a.html: loads https://cdn.example/x.js"),
        ("", "atmnet.ops.sample_along: is public, but not in the reference"),
    ],
)
def test_the_check_finds(tmp_path, body, problem):
    (tmp_path / "a.html").write_text(f'<h2 id="here">A</h2><a href="b.html#there">b</a>{body}')
    (tmp_path / "b.html").write_text('<h2 id="there">B</h2><a href="https://example.org">elsewhere</a>')
    lines = check.problems(tmp_path)
    assert any(line.startswith(problem) for line in lines)
    faults = [line for line in lines if "is public" not in line]
    assert len(faults) == bool(body)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    """As ``make docs`` does, in a folder of its own."""
    import shutil
    import subprocess
    import sys

    for name in ("website", "docs", "src", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", *stage._BESIDE):
        shutil.copy(ROOT / name, tmp_path)
    for arguments in (["website.stage"], ["zensical", "build", "--strict"], ["website.check", "build/site"]):
        done = subprocess.run([sys.executable, "-m", *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "griffe:" not in done.stdout + done.stderr


def test_the_programs_on_the_first_page_run(capsys):
    pytest.importorskip("sklearn")
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "index.md").read_text("utf-8"), re.DOTALL)
    assert programs
    for program in programs:
        exec(compile(program, "docs/index.md", "exec"), {})
    assert " % 1 " in capsys.readouterr().out
