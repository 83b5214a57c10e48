"""ONNX files are plain graphs that take images of any size and give the outputs of the eager model."""

import json
import logging
import warnings

import numpy as np
import pytest
import torch

import atmnet
from atmnet.export import export_model
from atmnet.export.frame import Framed
from atmnet_cli.errors import UserError
from atmnet_runtime import FileError, open_classifier
from tests.export.conftest import CLASSES
from tests.export.models import spread

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

#: As promised by the issue that asked for it, of logits of order 1.
BOUND = 5e-6


def assert_plain(path):
    """Standard operators of one version and no control flow, in the graph itself."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    assert not model.functions
    assert {node.domain for node in model.graph.node} == {""}
    assert not {node.op_type for node in model.graph.node} & {"If", "Loop", "Scan", "DeformConv"}


def largest_difference(path, model, sizes):
    run, largest = open_classifier(path, threads=1), 0.0
    for batch, height, width in sizes:
        image = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            expected = model(image).numpy()
        logits = run.logits(image.numpy())
        assert logits.shape == expected.shape
        largest = max(largest, float(np.abs(logits - expected).max()))
    return largest


def test_graph(exported):
    report, _ = exported
    assert_plain(report.path)
    assert report.nodes == len(onnx.load(report.path).graph.node)
    assert report.nodes <= 640 + torch.__version__.startswith("2.9.")  # whose exporter leaves one more
    (image,), (logits,) = onnx.load(report.path).graph.input, onnx.load(report.path).graph.output
    shape = [dim.dim_param or dim.dim_value for dim in image.type.tensor_type.shape.dim]
    assert (image.name, shape) == ("image", ["batch", 3, "height", "width"])
    assert (logits.name, [dim.dim_param or dim.dim_value for dim in logits.type.tensor_type.shape.dim]) == (
        "logits",
        ["batch", 10],
    )


def test_sizes(exported):
    """32 x 32 leaves the last stage one token, 14 x 23 the last two one row."""
    report, model = exported
    sizes = [(1, 32, 32), (2, 32, 32), (1, 64, 64), (1, 224, 224), (1, 50, 66), (3, 14, 23), (1, 161, 99)]
    assert largest_difference(report.path, model, sizes) <= BOUND


def test_metadata(exported):
    report, model = exported
    values = {entry.key: json.loads(entry.value) for entry in onnx.load(report.path).metadata_props}
    assert values["classes"] == CLASSES
    assert values["input_size"] == [3, 32, 32]
    assert values["architecture"] == "atmnet_nano"
    assert values["atmnet"] == atmnet.__version__
    for key in ("mean", "std", "interpolation", "crop_pct"):
        expected = model.pretrained_cfg[key]
        assert values[key] == (list(expected) if isinstance(expected, tuple) else expected)


def test_nothing_of_this_machine_is_in_the_file(exported):
    report, _ = exported
    assert str(report.path.parent).encode() not in report.path.read_bytes()
    assert b"site-packages" not in report.path.read_bytes()
    assert b".py" not in report.path.read_bytes()


def test_indices_are_small(exported):
    graph = onnx.shape_inference.infer_shapes(onnx.load(exported[0].path)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    indices = [node.input[1] for node in graph.node if node.op_type == "GatherElements"]
    assert indices
    assert {types[name] for name in indices} == {onnx.TensorProto.INT32}


@pytest.mark.parametrize("pixels", ["unit", "uint8"])
def test_pixels_in_the_graph(pixels, nano):
    """What is written is the model after the normalisation."""
    values = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(nano.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        outputs = Framed(nano, nano.pretrained_cfg, pixels)(values if pixels == "uint8" else values / 255)
        torch.testing.assert_close(outputs, nano((values / 255 - mean) / std))


@pytest.mark.slow
@pytest.mark.parametrize("pixels", ["unit", "uint8"])
def test_pixels_are_normalised_inside(pixels, nano, tmp_path):
    report = export_model(nano, tmp_path / "a.onnx", pixels=pixels, dynamic=False, batch_size=3)
    file = open_classifier(report.path)
    values = torch.randint(256, (5, 3, 32, 32), dtype=torch.uint8)
    config = nano.pretrained_cfg
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        expected = nano((values / 255 - mean) / std).numpy()
    images = values if pixels == "uint8" else values / 255
    np.testing.assert_allclose(file.logits(images.numpy()), expected, atol=BOUND, rtol=0)
    with pytest.raises(FileError, match="height 40, the file takes only 32"):
        file.logits(np.zeros((1, 3, 40, 32), images.numpy().dtype))


@pytest.mark.slow
def test_half_precision(nano, tmp_path):
    report = export_model(nano, tmp_path / "half.onnx", precision="fp16")
    assert report.bytes < 0.6 * 4.1e6
    assert max(difference.relative for difference in report.differences) < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["atmnet_xtiny", "atmnet_tiny", "atmnet_small", "atmnet_base", "atmnet_large"])
def test_published_variants(name, tmp_path):
    model = spread(name)
    report = export_model(model, tmp_path / "model.onnx")
    assert_plain(report.path)
    sizes = [(1, 224, 224), (2, 224, 224), (1, 200, 264), (1, 161, 99)]
    assert largest_difference(report.path, model, sizes) <= BOUND
    if name == "atmnet_xtiny":
        assert report.nodes <= 800


@pytest.mark.slow
def test_another_model_of_timm(tmp_path):
    model = spread("resnet18", num_classes=5)
    report = export_model(model, tmp_path / "resnet.onnx")
    assert_plain(report.path)
    assert report.largest <= 1e-4


def test_what_cannot_be_left_open_is_said(tmp_path):
    class Stubborn(torch.nn.Module):
        num_classes, pretrained_cfg = 2, {}

        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(3 * 96 * 128, 2)

        def forward(self, image):
            return self.fc(image.flatten(1))

    config = {
        "input_size": (3, 96, 128), "mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic", "crop_pct": 1.0,
        "crop_mode": "center",
    }  # fmt: skip
    filters, disabled, threads = list(warnings.filters), logging.root.manager.disable, torch.get_num_threads()
    with pytest.raises(UserError, match=r"if the model is made for one size, try dynamic=false"):
        export_model(Stubborn(), tmp_path / "a.onnx", config=config)
    assert not list(tmp_path.iterdir())
    assert (filters, disabled, threads) == (warnings.filters, logging.root.manager.disable, torch.get_num_threads())
