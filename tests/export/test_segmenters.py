"""Segmenters as files give the logits of the eager model at any size, with every head and neck."""

import json

import numpy as np
import pytest
import torch

from atmnet.export import export_dense, exportable
from atmnet.export.plain.neck import PlainPool
from atmnet.export.verify import difference
from atmnet_runtime import ExportedFile, FileError
from tests.export.dense import CLASSES, network
from tests.export.test_onnx import assert_plain

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SIZES = [(2, 64, 96), (1, 61, 99), (1, 32, 45)]
#: Of the largest difference, over the largest logit. Where a level is a single token, GroupNorm makes rounding large.
BOUND = 3e-5


def largest_difference(path, model, sizes):
    file, largest = ExportedFile(path, threads=1), 0.0
    for batch, height, width in sizes:
        images = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            expected = model(images).numpy()
        logits = file.logits(images.numpy())
        assert logits.shape == expected.shape == (batch, 5, height, width)
        assert expected.std() > 0.05
        largest = max(largest, difference("", logits, expected).scaled)
    return largest


@pytest.mark.parametrize(
    ("head", "neck"),
    [("semantic_fpn", "fpn"), ("semantic_fpn", "atmfpn"), ("semantic_fpn", "atmfpn_aligned"), ("upernet", "fpn")],
)
def test_same_function(head, neck):
    """In float64, so that only rounding is left."""
    if head == "upernet":
        pytest.importorskip("transformers")
    model = network(head, neck).model
    plain = exportable(model).double()
    model = model.double()
    for size in SIZES:
        images = torch.randn(size[0], 3, *size[1:], dtype=torch.float64)
        with torch.no_grad():
            torch.testing.assert_close(plain(images), model(images), rtol=1e-9, atol=1e-10)


def test_open_sizes(segmenter_file):
    dense, _, report = segmenter_file
    check_open_sizes(dense, report)


@pytest.mark.parametrize(
    ("head", "neck", "name"),
    [
        ("upernet", "fpn", "test_resnet"),
        pytest.param("semantic_fpn", "fpn", "test_resnet", marks=pytest.mark.slow),
        pytest.param("semantic_fpn", "fpn", "atmnet_nano", marks=pytest.mark.slow),
        pytest.param("semantic_fpn", "atmfpn_aligned", "atmnet_nano", marks=pytest.mark.slow),
        pytest.param("semantic_fpn", "atmfpn", "atmnet_nano", marks=pytest.mark.slow),
        pytest.param("upernet", "fpn", "atmnet_nano", marks=pytest.mark.slow),
    ],
)
def test_open_sizes_of_other_networks(head, neck, name, onnx_libraries, tmp_path):
    if head == "upernet":
        pytest.importorskip("transformers")
    dense = network(head, neck, name)
    check_open_sizes(dense, export_dense(dense, tmp_path / "a.onnx"))


def check_open_sizes(dense, report):
    assert_plain(report.path)
    assert [d.what for d in report.differences][:3] == ["1 x 3 x 64 x 64", "2 x 3 x 64 x 64", "1 x 3 x 57 x 75"]
    assert "pixels of" in report.text
    assert report.agreement is None or report.agreement > 0.999
    assert largest_difference(report.path, dense.model, SIZES) <= BOUND
    file = ExportedFile(report.path)
    assert (file.kind, file.classes, file.shape) == ("segmentation", CLASSES, [None, 3, None, None])
    assert (file.config["shorter"], file.config["longest"]) == (64, 256)


def test_bytes_at_one_size_by_the_command(bytes_segmenter):
    dense, folder = bytes_segmenter
    file = ExportedFile(folder / "test_resnet_semantic_fpn.onnx")
    assert file.shape == [2, 3, 48, 48]
    values = torch.randint(256, (3, 3, 48, 48), dtype=torch.uint8)
    mean, std = (torch.tensor(dense.config[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        expected = dense.model((values / 255 - mean) / std).numpy()
    np.testing.assert_allclose(file.logits(values.numpy()), expected, atol=BOUND)
    with pytest.raises(FileError, match="height 64, the file takes only 48"):
        file.logits(np.zeros((2, 3, 64, 48), np.uint8))


def test_openvino(openvino_segmenter):
    dense, _, report = openvino_segmenter
    assert max(difference.scaled for difference in report.differences) <= BOUND
    assert largest_difference(report.path, dense.model, SIZES) <= BOUND


def test_torch_program(tmp_path):
    dense = network("semantic_fpn", name="test_resnet")
    with torch.no_grad():
        before = {key: value.clone() for key, value in dense.model.state_dict().items()}
    report = export_dense(dense, tmp_path / "a.pt2", to="torch")
    assert max(difference.scaled for difference in report.differences) <= BOUND
    extra_files = {"atmnet.json": ""}
    torch.export.load(tmp_path / "a.pt2", extra_files=extra_files)
    assert json.loads(json.loads(extra_files["atmnet.json"])["task"]) == "segmentation"
    assert all(torch.equal(before[key], value) for key, value in dense.model.state_dict().items())


@pytest.mark.slow
def test_half_precision(tmp_path):
    report = export_dense(network("semantic_fpn", "atmfpn_aligned"), tmp_path / "half.onnx", precision="fp16")
    assert max(difference.relative for difference in report.differences) < 1e-2


@pytest.mark.parametrize("cells", [1, 2, 3, 6])
def test_pooling(cells):
    """Windows of all lengths, overlapping ones and those of one token among them."""
    pool = torch.nn.AdaptiveAvgPool2d(cells)
    for size in [(1, 2), (5, 7), (6, 6), (13, 20)]:
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        torch.testing.assert_close(PlainPool(cells)(x), pool(x), rtol=1e-6, atol=1e-7)
