"""Segmenters in eight bits: small files with nearly the same logits."""

import onnx
import pytest

from atmnet.export import export_dense
from atmnet.export.int8 import quantise_dynamic
from atmnet_runtime import ExportedFile
from tests.export.dense import CLASSES, network


def test_dynamic(segmenter_file, tmp_path):
    """The quantiser of 'int8-dynamic', on a file that exists."""
    dense, _, report = segmenter_file
    quantise_dynamic(report.path, tmp_path / "small.onnx")
    assert ExportedFile(tmp_path / "small.onnx", 1).classes == CLASSES
    assert (tmp_path / "small.onnx").stat().st_size < 4 * parameters(dense) / 3


def test_calibrated(onnx_libraries, photographs, tmp_path):
    """By the command's way, with pictures of several sizes; convolutions compute in 8 bits, too."""
    dense = network("semantic_fpn", name="test_resnet")
    report = export_dense(dense, tmp_path / "small.onnx", precision="int8", calibration=str(photographs))
    assert report.bytes < 4 * parameters(dense) / 3
    assert report.agreement > 0.8
    assert ExportedFile(report.path, 1).classes == CLASSES
    graph = onnx.load(report.path).graph
    quantised = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    assert all(set(node.input[:2]) <= quantised for node in graph.node if node.op_type == "Conv")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8", "int8-dynamic"])
def test_smaller_and_nearly_the_same(onnx_libraries, tmp_path, photographs, precision):
    dense = network("semantic_fpn", "atmfpn")
    folder = {"calibration": str(photographs)} if precision == "int8" else {"images": str(photographs)}
    report = export_dense(dense, tmp_path / "small.onnx", precision=precision, **folder)
    assert report.bytes < 4 * parameters(dense) / 3
    assert report.agreement > 0.8


def parameters(dense):
    return sum(parameter.numel() for parameter in dense.model.parameters())
