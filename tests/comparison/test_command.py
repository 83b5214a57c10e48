"""``atmnet compare`` from the command line to the page."""

import csv
import json
import re

import pytest

from atmnet_cli import command
from tests.comparison.conftest import MODELS


@pytest.fixture
def recipe(root, tmp_path):
    content = {
        "models": [*MODELS, "test_convnext"], "seeds": 2, "epochs": 2, "batch_size": 8, "threads": 1, "jobs": 1,
        "data": {"root": str(root), "workers": 0, "img_size": 32}, "optim": {"warmup_epochs": 1, "lr": 1e-3},
        "device": "cpu",
    }  # fmt: skip
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(content))
    return path


def test_from_the_command_to_the_page(recipe, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = ["compare", "--config", str(recipe), "--output", str(output)]
    assert command.main(arguments) == 0
    printed = capsys.readouterr()
    assert "6 of 6 runs" in printed.err
    lines = printed.out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["narrow", "test_resnet", "test_convnext"]
    results = json.loads((output / "compare.json").read_text())
    assert lines[-1] == results["conclusion"]
    assert [model["label"] for model in results["models"]] == ["narrow", "test_resnet", "test_convnext"]
    for model in results["models"]:
        scores = [each["score"] for each in model["scores"]]
        assert model["mean"] == pytest.approx(sum(scores) / 2)
        assert results["times"][model["label"]]["latency_1"] > 0
    with (output / "compare.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean"]) for row in rows] == [model["mean"] for model in results["models"]]
    page = (output / "compare.html").read_text()
    assert results["conclusion"] in page
    assert f"atmnet compare --config {recipe}" in page
    assert not re.search(r"""(src=|<link[^>]*href=|url\()["']?https?:""", page), "nothing is loaded from elsewhere"
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.safetensors")}
    assert command.main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.safetensors")} == before
    again = json.loads((output / "compare.json").read_text())
    assert again == results
