"""Markers by folder, and fixtures for all tests."""

import importlib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
#: The marker of every test in a folder.
FOLDERS = {"engine": "engine", "export": "export", "heads": "dense", "necks": "dense", "ops": "kernels"}
#: Markers of files in other folders.
FILES = {
    "dense": [
        "cli/test_dense*.py", "data/test_ade20k.py", "data/test_coco.py", "data/test_dense_*.py", "data/test_pairs.py",
        "data/test_scenes.py", "data/test_write_scenes.py", "engine/test_dense_runs.py",
        "engine/test_scenes_recipes.py", "export/test_dense_int8.py", "export/test_detectors.py",
        "export/test_segmenters.py",
        "integrations/test_smp.py",
        "predictions/test_detections.py", "predictions/test_label_maps.py", "predictions/test_results.py",
        "tasks/test_detect*.py", "tasks/test_pyramid.py", "tasks/test_segment*.py", "tasks/test_windows.py",
    ],
    "engine": ["gpu/test_runs.py"],
    "kernels": ["gpu/test_operator.py"],
}  # fmt: skip
#: Markers of tests that take a fixture.
FIXTURES = {"exported": "export", "run": "engine", "trained": "engine"}


def pytest_collectstart() -> None:
    """Register our models with timm, only where tests are collected: xdist's main process collects none."""
    importlib.import_module("atmnet")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(HERE)
        markers = {marker for marker, files in FILES.items() if any(path.match(file) for file in files)}
        markers |= {FIXTURES[name] for name in getattr(item, "fixturenames", []) if name in FIXTURES}
        if path.parts[0] in FOLDERS:
            markers.add(FOLDERS[path.parts[0]])
        for marker in sorted(markers):
            item.add_marker(marker)


@pytest.fixture(autouse=True)
def _no_weights_of_the_user(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("ATMNET_WEIGHTS", str(tmp_path_factory.getbasetemp() / "no-weights"))


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    import torch

    torch.manual_seed(0)
