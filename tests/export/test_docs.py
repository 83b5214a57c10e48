"""The programs in docs/deploy.md are short, need no torch, and answer as ``atmnet predict`` for any picture."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atmnet.data import EXTENSIONS, DigitsReader, eval_transform, read_image
from atmnet.models.create import data_config
from tests.export.conftest import CLASSES

pytest.importorskip("onnxruntime")

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
PROGRAMS = re.findall(
    r"<!-- example.*? -->\n```python\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8"), re.DOTALL
)


def write_kinds(folder, pixels):
    """``pixels`` (H, W, 3) as a file of each kind that is easily read otherwise than meant."""
    colour = Image.fromarray(pixels)
    grey = np.asarray(colour.convert("L"))
    clear = colour.convert("RGBA")
    clear.putalpha(Image.fromarray(255 - grey))
    clear.save(folder / "rgba.png")
    clear.convert("LA").save(folder / "la.png")
    colour.convert("P").save(folder / "p.png", transparency=0)
    colour.convert("P").save(folder / "p.gif", transparency=3)
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "16.png")
    Image.fromarray(grey.astype(np.uint16) * 16).save(folder / "12.tif")
    Image.fromarray(grey.astype(np.float32) / 255).save(folder / "float.tif")
    colour.convert("CMYK").save(folder / "cmyk.jpg")
    colour.convert("1").save(folder / "1.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    colour.save(folder / "turned.jpg", exif=exif)


@pytest.mark.parametrize("program", PROGRAMS, ids=["classifier", "session"])
def test_programs(exported, tmp_path, program):
    report, model = exported
    assert len([line for line in program.splitlines() if line.strip()]) <= 15
    assert {"torch", "timm", "atmnet"}.isdisjoint(re.findall(r"\w+", program))
    (tmp_path / "example.py").write_text(program)
    reader = DigitsReader("val")
    for number in range(0, len(reader), 9):
        reader[number][0].save(tmp_path / f"{number:03d}.png")
    write_kinds(tmp_path, np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8))
    files = sorted(str(path) for path in tmp_path.iterdir() if path.suffix in EXTENSIONS)
    command = [sys.executable, str(tmp_path / "example.py"), str(report.path), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    transform = eval_transform(data_config(model, None))
    with torch.no_grad():
        expected = model(torch.stack([transform(read_image(file)) for file in files])).argmax(1).tolist()
    assert len(set(expected)) > 1
    assert done.stdout.splitlines() == [f"{file} {CLASSES[k]}" for file, k in zip(files, expected, strict=True)]


def test_no_page_prepares_pictures_by_itself():
    """Whoever copies such lines gets other answers for transparent, deep or turned pictures."""
    for page in PAGES:
        for code in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            assert not re.search(r"Image\.open|\.convert\(|exif_transpose|\.resize\(", code), page
