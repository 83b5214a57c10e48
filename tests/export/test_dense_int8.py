"""Segmenters in eight bits."""

import pytest
from PIL import Image

from atmnet.export import export_dense
from atmnet_cli.errors import UserError
from atmnet_runtime import ExportedFile
from tests.export.dense import CLASSES, network

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture
def folder(tmp_path):
    """Pictures of several shapes."""
    (tmp_path / "pictures").mkdir()
    for index, size in enumerate([(90, 70), (64, 64), (50, 120)]):
        Image.effect_noise(size, 90).convert("RGB").save(tmp_path / "pictures" / f"{index}.png")
    return tmp_path / "pictures"


@pytest.mark.parametrize("precision", ["int8", "int8-dynamic"])
def test_smaller_and_nearly_the_same(tmp_path, folder, precision):
    found = network("semantic_fpn", "atmfpn")
    report = export_dense(found, tmp_path / "small.onnx", precision=precision, calibration=str(folder))
    assert report.bytes < 0.3 * 4 * sum(p.numel() for p in found.model.parameters())
    assert report.agreement > 0.8
    assert ExportedFile(tmp_path / "small.onnx", 1).classes == CLASSES


def test_what_is_missing(tmp_path, folder):
    with pytest.raises(UserError, match="calibration: precision int8 needs a folder of pictures"):
        export_dense(network("semantic_fpn"), tmp_path / "x.onnx", precision="int8")
    with pytest.raises(UserError, match="precision: got 'int8', detection networks are written in fp32"):
        export_dense(network("fcos"), tmp_path / "x.onnx", precision="int8", calibration=str(folder))
    assert list(tmp_path.glob("*.onnx")) == []
