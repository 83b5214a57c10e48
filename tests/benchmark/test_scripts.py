"""The scripts run, and their tables and plots come from their records alone."""

import json
import re
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import gpu, runtimes, script, tables
from tests.processes import call
from tests.shared import made_once

ROOT = Path(__file__).parents[2]

#: Those that do not only measure: they train for hours, or take what was trained.
TRAINED = ("scenes", "small_data", "study", "eight_bits")
#: Those that measure by themselves.
MODULES = {name: getattr(tables, name) for name in tables.TABLES if name not in TRAINED}
TRITON = metadata.version("triton") if find_spec("triton") else "0.0"
if tuple(map(int, TRITON.split(".")[:2])) < (3, 7):  # its interpreter cannot run the kernels
    del MODULES["kernels"]


def _run_runtimes_in_part(arguments):
    """With one file, which runs in two ways."""
    runtimes._FILES = [file for file in runtimes._FILES if file[0] == "OpenVINO, static"]
    script.run("runtimes", runtimes.__doc__, runtimes.measure, runtimes.table, arguments)


def _run_all(folder):
    on_gpus = [name for name in gpu.SCRIPTS if name in MODULES]
    assert gpu.main(["--device", "cpu", "--quick", "--folder", str(folder), "--seconds=3000", "--parts", *on_gpus]) == 0
    for name, module in MODULES.items():
        arguments = ["--quick", "--threads=1", "--output", str(folder / f"{name}.json")]
        if name == "runtimes":  # the threads of runtimes outlive what they are called for
            assert call(_run_runtimes_in_part, arguments) == 0
        elif name not in gpu.SCRIPTS:
            script.run(name, module.__doc__, module.measure, module.table, arguments)
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Records of quick runs of all scripts, and of parts of quick runs of those that take long."""
    return made_once(tmp_path_factory, "benchmarks", _run_all)


@pytest.mark.slow
def test_whole_quick_run_of_the_runtimes(tmp_path):
    path = tmp_path / "record.json"
    subprocess.run([sys.executable, "-m", "benchmarks.runtimes", "--quick", "--output", path], cwd=ROOT, check=True)
    assert json.loads(path.read_text())["results"]


@pytest.mark.parametrize("name", MODULES)
def test_record_and_table(results, name):
    record = json.loads((results / f"{name}.json").read_text())
    assert record["rounds"] == 2
    assert {"processor", "threads", "torch", "timm", "atmnet"} <= set(record["machine"])
    assert record["results"]
    head, _, *rows = [line for line in MODULES[name].table(record).splitlines() if line.startswith("|")]
    assert rows
    cells = {line.count("|") for line in (head, *rows)}
    assert len(cells) == 1


def test_the_page_is_updated_between_its_marks(results):
    absent = "<!-- begin: step-cuda -->\n<!-- end: step-cuda -->\n"
    page = f"# A\n<!-- begin: step -->\nold\n<!-- end: step -->\nprose\n{absent}"
    updated = tables.updated(page, results)
    assert "old" not in updated
    assert "| float32 eager | as published |" in updated
    assert updated.startswith("# A\n<!-- begin: step -->\n")
    assert updated.endswith(f"\n<!-- end: step -->\nprose\n{absent}")
    assert tables.updated(updated, results) == updated


def test_plots(results, tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks import plots

    records = shutil.copytree(results, tmp_path / "records")
    record = json.loads((records / "model.json").read_text())
    for result in record["results"]:
        result["batch"] = plots.BATCH
    (records / "model.json").write_text(json.dumps(record))
    drawn = plots.draw(records, tmp_path)
    assert [path.name for path in drawn] == [f"performance_{name}.svg" for name in ("growth", "model", "layer")]
    before = [path.read_bytes() for path in drawn]
    assert [path.read_bytes() for path in plots.draw(records, tmp_path)] == before


def test_the_pages_say_what_the_results_say():
    pages = [page.read_text(encoding="utf-8") for page in tables.PAGES]
    names = [match["name"] for page in pages for match in tables._BLOCK.finditer(page)]
    assert list(dict.fromkeys(re.split("[-/]", name)[0] for name in names)) == list(tables.TABLES)
    for page in pages:
        assert tables.updated(page) == page
