"""``atmnet export`` writes a checked file of a run."""

import pytest
import timm
import torch
from PIL import Image

from atmnet.export import save_pretrained
from atmnet.tasks import Classifier
from atmnet_cli.command import main
from atmnet_runtime import open_classifier
from tests.export.models import spread

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint of a model with three classes."""
    model = spread("test_resnet", num_classes=3)
    config = timm.data.resolve_model_data_config(model)
    return save_pretrained(Classifier(model, ["cat", "dog", "owl"], config), tmp_path_factory.mktemp("model"))


def test_export(folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(folder), "--dynamic=false", "--img_size=48", "--batch_size=2"]) == 0
    out, err = capfd.readouterr()
    stages = [line.split(" s  ")[1] for line in err.splitlines()]
    assert stages == [
        "preparing the network and pictures",
        "writing test_resnet.onnx",
        "comparing it with the eager model",
        "timing both",
    ]
    assert out.startswith("test_resnet.onnx: ")
    assert "2 x 3 x 48 x 48" in out
    assert [path.name for path in tmp_path.iterdir()] == ["test_resnet.onnx"]
    file = open_classifier("test_resnet.onnx")
    assert file.classes == ["cat", "dog", "owl"]
    shares = file([Image.new("RGB", (60, 50), colour) for colour in ("red", "green", "blue")])
    assert shares.shape == (3, 3)
    assert shares.sum(1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch_size=0"], "batch_size: got 0, expected at least 1"),
        (["--img_size=2"], "img_size: got 2, expected at least 3"),
        (["--precision=int8"], "calibration: precision 'int8' needs a folder"),
        (["--output=a.pb"], "expected the name of a file that ends in .onnx"),
        (["--to=tflite"], "to"),
        (["--threads=0"], "threads: got 0, expected at least 1"),
        (["--raw=true"], "raw: only detectors have raw outputs"),
        (["--weights=a.pth"], "contains its own weights; leave --weights out"),
    ],
    ids=str,
)
def test_refused(folder, tmp_path, monkeypatch, capfd, arguments, message):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    assert main(["export", str(folder), *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("atmnet: error: ")
    assert message in line
    assert not list(tmp_path.iterdir())
    assert torch.get_num_threads() == threads


def test_no_such_model(tmp_path, capfd):
    assert main(["export", str(tmp_path / "none")]) == 2
    assert "unknown model or folder" in capfd.readouterr().err
