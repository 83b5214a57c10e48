"""An exported classifier for sets of labels gives the same independent probabilities as its checkpoint."""

import numpy as np
import pytest
import torch

from atmnet.export import ExportSettings, export
from atmnet.predictions import Predictor
from atmnet.tasks import build_classifier, load_network, make_task
from atmnet_cli.options import ModelOptions
from atmnet_runtime import open_classifier
from tests.data.tiny_sets import write_sets

pytestmark = pytest.mark.export
CLASSES = ["a", "b", "c"]


def _probabilities(predictor, pictures):
    return [
        [{item["class"]: item["probability"] for item in answer.record["predictions"]}[name] for name in CLASSES]
        for answer in predictor(pictures, threshold=0.0)
    ]


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_file_agrees_with_the_checkpoint(tmp_path, temperature):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    network = build_classifier(ModelOptions(name="test_resnet"), CLASSES, 32, "multilabel")
    network.model.eval().fc.bias.data = torch.tensor([1.0, 0.0, -1.0])
    pictures = [str(path) for path in sorted((write_sets(tmp_path / "sets") / "val").iterdir())]
    raw = np.array(_probabilities(Predictor(make_task(network), "cpu"), pictures))
    network.temperature = temperature
    path = tmp_path / "sets.onnx"
    report = export(network, path, ExportSettings(images=str(tmp_path / "sets" / "val"), dynamic=False))
    assert "the same set of labels on 100.0% of 12 pictures" in report.text
    expected = _probabilities(Predictor(make_task(network), "cpu"), pictures)
    np.testing.assert_allclose(expected, 1 / (1 + (1 / raw - 1) ** (1 / temperature)), atol=1e-6)
    loaded = load_network(str(path))
    assert loaded.kind == "multilabel"
    np.testing.assert_allclose(_probabilities(Predictor(make_task(loaded), "cpu"), pictures), expected, atol=1e-5)
    classifier = open_classifier(str(path))
    assert classifier.kind == "multilabel"
    np.testing.assert_allclose(classifier(pictures), expected, atol=1e-5)
    assert np.ptp(np.sum(expected, 1)) > 1e-3  # they do not sum to 1
