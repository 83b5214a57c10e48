"""The tutorials run from a clean kernel, in an empty folder, and what they assert holds."""

import sys
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

TUTORIALS = sorted((Path(__file__).parents[1] / "docs" / "tutorials").glob("*.py"))
#: Those that take seconds. The others train or export.
QUICK = ("look_inside", "own_network")
#: Extras that a tutorial needs.
NEEDS = {"detect": "faster_coco_eval", "export": "onnxruntime", "look_inside": "matplotlib", "segment": "torchmetrics"}


def _parameter(path: Path):
    return pytest.param(path, id=path.stem, marks=() if path.stem in QUICK else pytest.mark.slow)


@pytest.mark.filterwarnings("ignore")  # of the libraries that talk to the kernel
@pytest.mark.parametrize("path", [_parameter(path) for path in TUTORIALS])
def test_it_runs(path, tmp_path, monkeypatch):
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = jupytext.read(path, fmt="py:percent")
    folder = tmp_path / "work"
    folder.mkdir()
    kernel = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    kernel.create_kernel_manager()
    kernel.km.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert any(cell.outputs for cell in code)


def test_there_are_six_and_each_explains_itself():
    assert len(TUTORIALS) == 6
    for path in TUTORIALS:
        first, *_ = jupytext.read(path, fmt="py:percent").cells
        assert first.cell_type == "markdown"
        assert first.source.startswith("# ")
