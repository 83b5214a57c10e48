"""The temperature of a calibrated classifier in its exported file: `atmnet` and the runtime give one answer."""

import json

import numpy as np
import pytest
from PIL import Image

import atmnet_runtime
from atmnet.export import save_pretrained
from atmnet.models.create import data_config
from atmnet.predictions import Predictor
from atmnet.tasks import Classifier, load_task, make_task
from atmnet_cli.command import main
from tests.export.conftest import CLASSES
from tests.export.models import spread

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def test_probabilities(tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    model = spread("test_resnet", num_classes=10)
    classifier = Classifier(model, CLASSES, data_config(model), temperature=2.5)
    expected = _probabilities(Predictor(make_task(classifier), "cpu"), tmp_path / "a.png")
    classifier.temperature = 1.0
    assert expected != pytest.approx(_probabilities(Predictor(make_task(classifier), "cpu"), tmp_path / "a.png"))
    classifier.temperature = 2.5
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    save_pretrained(classifier, checkpoint)
    assert json.loads((checkpoint / "config.json").read_text())["calibration_temperature"] == 2.5
    file = tmp_path / "a.onnx"
    assert main(["export", str(checkpoint), f"--output={file}", f"--images={tmp_path}", "--dynamic=false"]) == 0
    for name in (checkpoint, file):
        assert _probabilities(Predictor(load_task(str(name)), "cpu"), tmp_path / "a.png") == pytest.approx(
            expected, abs=1e-5
        )
    runtime = atmnet_runtime.open_classifier(file)
    assert runtime([tmp_path / "a.png"])[0] == pytest.approx([expected[name] for name in CLASSES], abs=1e-5)
    capsys.readouterr()
    arguments = ["evaluate", str(file), "--data.source=digits", "--data.workers=0", "--calibrate=true"]
    assert main(arguments) == 2
    assert "calibrate: the temperature is recorded in a checkpoint" in capsys.readouterr().err


def _probabilities(predictor, path):
    return {each["class"]: each["probability"] for each in predictor(path, top=10).record["predictions"]}
