"""OpenVINO, torch's packages and eight bits are written, checked and run."""

import json
import shutil

import numpy as np
import onnx
import pytest
import torch

from atmnet.data import DigitsReader
from atmnet.export import export_model
from atmnet.export.int8 import quantise_dynamic, quantise_static
from atmnet.export.verify import difference
from atmnet.layers import OffsetPredictor
from atmnet_runtime import FileError, open_classifier, preprocess
from tests.export.conftest import CLASSES
from tests.export.models import spread


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder of 12 handwritten digits."""
    folder, reader = tmp_path_factory.mktemp("digits"), DigitsReader("train")
    for number in range(12):
        reader[number][0].save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def held_out():
    reader = DigitsReader("val")
    return [reader[number][0] for number in range(60)]


def difference_from(path, model, images):
    file = open_classifier(path)
    batch = np.stack([preprocess(image, file.config) for image in images])
    with torch.no_grad():
        return difference("digits", file.logits(batch), model(torch.from_numpy(batch)).numpy())


def test_int8_dynamic(exported, held_out, tmp_path):
    report, model = exported
    quantise_dynamic(report.path, tmp_path / "a.onnx")
    assert difference_from(tmp_path / "a.onnx", model, held_out).relative < 0.05
    assert (tmp_path / "a.onnx").stat().st_size < 0.3 * report.bytes
    graph = onnx.load(tmp_path / "a.onnx").graph
    floats = [node for node in graph.node if node.op_type in ("MatMul", "Gemm")]
    assert len(floats) == len([m for m in model.modules() if isinstance(m, OffsetPredictor)])  # positions stay exact


def test_int8_static(exported, digits, held_out, tmp_path):
    from atmnet.export.pictures import pictures

    report, model = exported
    file = open_classifier(report.path)
    images = np.stack([preprocess(image, file.config) for image in pictures(str(digits), 12)])
    quantise_static(report.path, tmp_path / "a.onnx", images[:, None])
    assert difference_from(tmp_path / "a.onnx", model, held_out).relative < 0.15
    assert (tmp_path / "a.onnx").stat().st_size < 0.3 * report.bytes
    assert open_classifier(tmp_path / "a.onnx").classes == CLASSES


@pytest.mark.slow
def test_int8_by_the_command(nano, digits, tmp_path):
    report = export_model(nano, tmp_path / "a.onnx", precision="int8", calibration=str(digits), images=str(digits))
    assert report.agreement is not None
    assert report.agreement > 0.9


def test_torch_program(nano, tmp_path):
    image = torch.randn(1, 3, 48, 32)
    with torch.no_grad():
        before = nano(image)
        report = export_model(nano, tmp_path / "a.pt2", to="torch", batch_size=2)
        assert torch.equal(nano(image), before)
    assert report.largest <= 5e-6
    extra_files = {"atmnet.json": ""}
    program = torch.export.load(report.path, extra_files=extra_files).module()
    assert json.loads(json.loads(extra_files["atmnet.json"])["input_size"]) == [3, 32, 32]
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(program(image), nano(image), rtol=0, atol=5e-6)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="AOTInductor needs a C++ compiler")
def test_machine_code(nano, tmp_path):
    report = export_model(nano, tmp_path / "a.pt2", to="aoti")
    assert report.largest <= 5e-6


def test_openvino(openvino_file, nano, tmp_path):
    report = openvino_file
    assert sorted(path.name for path in report.path.parent.iterdir()) == ["a.bin", "a.xml"]
    assert report.largest <= 5e-6
    assert [difference.what for difference in report.differences][:4] == [
        "1 x 3 x 32 x 32", "2 x 3 x 32 x 32", "1 x 3 x 29 x 38", "1 x 3 x 23 x 14",
    ]  # fmt: skip
    file = open_classifier(report.path)
    assert file.classes == CLASSES
    image = torch.randn(1, 3, 70, 50)
    with torch.no_grad():
        np.testing.assert_allclose(file.logits(image.numpy()), nano(image).numpy(), atol=5e-6)
    shutil.copy(report.path, tmp_path / "a.xml")
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(FileError, match=r"a\.xml: not a readable model"):
        open_classifier(tmp_path / "a.xml")


@pytest.mark.slow
def test_openvino_int8(digits, tmp_path):
    pytest.importorskip("nncf")
    model = spread("atmnet_nano")
    report = export_model(
        model, tmp_path / "a.xml", to="openvino", precision="int8", calibration=str(digits), images=str(digits)
    )
    assert report.bytes < 2.5e6
    assert report.agreement is not None
    assert report.agreement > 0.9
