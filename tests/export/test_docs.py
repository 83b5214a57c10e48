"""The program in docs/deploy.md is short, needs no torch, and agrees with the model on every held-out digit."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from atmnet.data import DigitsReader, eval_transform
from atmnet.models.create import data_config
from tests.export.conftest import CLASSES

pytest.importorskip("onnxruntime")

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"


def test_example(exported, tmp_path):
    report, model = exported
    match = re.search(r"<!-- example -->\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert match
    assert len([line for line in match[1].splitlines() if line.strip()]) <= 15
    assert {"torch", "timm", "atmnet"}.isdisjoint(re.findall(r"\w+", match[1]))
    (tmp_path / "example.py").write_text(match[1])
    reader, images = DigitsReader("val"), []
    for number in range(len(reader)):
        image, _ = reader[number]
        image.save(tmp_path / f"{number:03d}.png")
        images.append(image.convert("RGB"))
    files = sorted(map(str, tmp_path.glob("*.png")))
    command = [sys.executable, str(tmp_path / "example.py"), str(report.path), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    transform = eval_transform(data_config(model, None))
    with torch.no_grad():
        expected = model(torch.stack([transform(image) for image in images])).argmax(1).tolist()
    assert len(set(expected)) > 1
    assert done.stdout.splitlines() == [f"{file} {CLASSES[k]}" for file, k in zip(files, expected, strict=True)]
