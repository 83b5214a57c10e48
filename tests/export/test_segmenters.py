"""Segmenters as files: the logits of the eager model at any size, with every head and neck."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from atmnet.export import export_dense, exportable
from atmnet.export.plain.neck import PlainPool
from atmnet.export.verify import difference
from atmnet_cli.command import main
from atmnet_cli.errors import UserError
from atmnet_runtime import ExportedFile
from tests.export.dense import CLASSES, network, save
from tests.export.test_onnx import assert_plain

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SIZES = [(1, 64, 64), (2, 64, 96), (1, 61, 99), (1, 32, 45)]
#: Of the largest difference, over the largest logit. Where a level is a single token, GroupNorm makes rounding large.
BOUND = 3e-5


def largest_difference(path, model, sizes):
    file, found = ExportedFile(path, threads=1), 0.0
    for batch, height, width in sizes:
        images = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            expected = model(images).numpy()
        logits = file.logits(images.numpy())
        assert logits.shape == expected.shape == (batch, 5, height, width)
        assert expected.std() > 0.05
        found = max(found, difference("", logits, expected).scaled)
    return found


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


@pytest.mark.parametrize(
    ("head", "neck", "name"),
    [
        ("semantic_fpn", "atmfpn_aligned", "atmnet_nano"),
        ("semantic_fpn", "fpn", "test_resnet"),
        ("upernet", "fpn", "test_resnet"),
        pytest.param("semantic_fpn", "fpn", "atmnet_nano", marks=pytest.mark.slow),
        pytest.param("semantic_fpn", "atmfpn", "atmnet_nano", marks=pytest.mark.slow),
        pytest.param("upernet", "fpn", "atmnet_nano", marks=pytest.mark.slow),
    ],
)
def test_open_sizes(head, neck, name, tmp_path):
    if head == "upernet":
        pytest.importorskip("transformers")
    found = network(head, neck, name)
    report = export_dense(found, tmp_path / "a.onnx")
    assert_plain(report.path)
    assert [d.what for d in report.differences][:3] == ["1 x 3 x 64 x 64", "2 x 3 x 64 x 64", "1 x 3 x 57 x 75"]
    assert "pixels of" in report.text
    assert report.agreement is None or report.agreement > 0.999
    assert largest_difference(report.path, found.model, SIZES) <= BOUND
    file = ExportedFile(report.path)
    assert (file.task, file.classes, file.shape) == ("segmentation", CLASSES, [None, 3, None, None])
    assert (file.config["shorter"], file.config["longest"]) == (64, 256)


def test_bytes_at_one_size_by_the_command(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    found = network("semantic_fpn", name="test_resnet")
    save(found, tmp_path / "run")
    arguments = ["export", "run", "--dynamic=false", "--img_size=48", "--batch_size=2", "--pixels=uint8"]
    assert main(arguments) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.startswith("test_resnet_semantic_fpn.onnx: ")
    file = ExportedFile("test_resnet_semantic_fpn.onnx")
    assert file.shape == [2, 3, 48, 48]
    values = torch.randint(256, (3, 3, 48, 48), dtype=torch.uint8)
    mean, std = (torch.tensor(found.config[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        expected = found.model((values / 255 - mean) / std).numpy()
    np.testing.assert_allclose(file.logits(values.numpy()), expected, atol=BOUND)
    with pytest.raises(UserError, match="height 64, the file takes 48 alone"):
        file.logits(np.zeros((2, 3, 64, 48), np.uint8))


def test_openvino_and_torch(tmp_path):
    pytest.importorskip("openvino")
    found = network("semantic_fpn", name="test_resnet")
    with torch.no_grad():
        before = {key: value.clone() for key, value in found.model.state_dict().items()}
    for to, name in (("openvino", "a.xml"), ("torch", "a.pt2")):
        report = export_dense(found, tmp_path / name, to=to)
        assert max(difference.scaled for difference in report.differences) <= BOUND
    assert largest_difference(tmp_path / "a.xml", found.model, SIZES) <= BOUND
    record = {"atmnet.json": ""}
    torch.export.load(tmp_path / "a.pt2", extra_files=record)
    assert json.loads(json.loads(record["atmnet.json"])["task"]) == "segmentation"
    assert all(torch.equal(before[key], value) for key, value in found.model.state_dict().items())


@pytest.mark.slow
def test_half_precision(tmp_path):
    found = network("semantic_fpn", "atmfpn_aligned")
    report = export_dense(found, tmp_path / "half.onnx", precision="fp16")
    assert max(difference.relative for difference in report.differences) < 1e-2


@pytest.mark.parametrize("cells", [1, 2, 3, 6])
def test_pooling(cells):
    """Windows of all lengths, overlapping ones and those of one token among them."""
    pool = torch.nn.AdaptiveAvgPool2d(cells)
    for size in [(1, 2), (5, 7), (6, 6), (13, 20)]:
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        torch.testing.assert_close(PlainPool(cells)(x), pool(x), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"precision": "bf16"}, "precision: got 'bf16', onnx is written in fp32 or fp16 or int8 or int8-dynamic"),
        ({"path": "a.pb"}, r"expected an ending of \.onnx"),
        ({"images": "broken"}, r"images: .*a\.png: not a picture"),
        ({"tolerance": 1e-12}, "not kept: on 1 x 3 x 64 x 64 it differs"),
    ],
    ids=str,
)
def test_refused(tmp_path, arguments, told):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"broken")
    Image.new("RGB", (9, 9)).save(tmp_path / "broken" / "b.png")
    arguments = dict(arguments)
    if "images" in arguments:
        arguments["images"] = str(tmp_path / arguments["images"])
    with pytest.raises(UserError, match=told):
        export_dense(
            network("semantic_fpn", name="test_resnet"), tmp_path / arguments.pop("path", "a.onnx"), **arguments
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]
