"""Settings that a format or a network does not take are refused in one line, before any file is written."""

import dataclasses

import pytest
import torch
from PIL import Image

from atmnet.export import ExportSettings, export, export_model
from atmnet.tasks import Classifier
from atmnet_cli.errors import UserError
from atmnet_cli.options import ExportOptions
from tests.export.dense import network
from tests.export.models import spread


def test_settings_are_the_options_of_the_command():
    options = {field.name: field.default for field in dataclasses.fields(ExportOptions)}
    settings = {field.name: field.default for field in dataclasses.fields(ExportSettings)}
    assert settings.items() <= options.items()
    assert options.keys() - settings.keys() == {"model", "output", "weights", "threads"}


@pytest.fixture
def folders(tmp_path):
    """An empty folder, one with a broken picture, and one with a good picture."""
    for name in ("empty", "broken", "good"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "broken" / "a.png")
    (tmp_path / "broken" / "b.png").write_bytes(b"broken")
    Image.new("RGB", (9, 9)).save(tmp_path / "good" / "a.png")
    return tmp_path


@pytest.mark.parametrize(
    ("head", "settings", "message"),
    [
        ("", {"to": "tflite"}, "to: got 'tflite', expected one of onnx, openvino"),
        ("", {"to": "torch"}, r"output: got .*a\.onnx, expected the name of a file that ends in \.pt2"),
        ("", {"pixels": "float"}, "pixels: got 'float', expected one of normalised, unit, uint8"),
        ("", {"img_size": 2}, "img_size: got 2, expected at least 3"),
        ("", {"tolerance": -1.0}, "tolerance: got -1.0, expected at least 0"),
        ("", {"batch_size": 2}, "batch_size: got 2, but the file takes batches of any size; leave it out, or fix"),
        (
            "", {"to": "openvino", "path": "a.xml", "precision": "int8-dynamic"},
            "precision: got 'int8-dynamic', expected fp32 or fp16 or int8 for the format 'openvino'",
        ),
        ("", {"precision": "int8"}, "calibration: precision 'int8' needs a folder of pictures"),
        ("", {"calibration": "good"}, "calibration: precision 'fp32' takes no calibration; leave it out, or name"),
        ("", {"images": "empty"}, r"images: .*empty: no pictures in it; expected files that end in"),
        ("", {"precision": "int8", "calibration": "broken"}, r"calibration: .*broken/b\.png: not a picture"),
        ("", {"raw": True}, "raw: only detectors have raw outputs; a classifier's output is already its logits"),
        ("semantic_fpn", {"raw": True}, "raw: only detectors have raw outputs; a segmenter's output is already its"),
        ("semantic_fpn", {"precision": "bf16"}, "precision: got 'bf16', expected fp32 or fp16 or int8 or int8-dynamic"),
        ("semantic_fpn", {"images": "broken"}, r"images: .*b\.png: not a picture.*; remove it, or name another folder"),
        ("semantic_fpn", {"batch_size": 2}, "batch_size: got 2, but the file takes batches of any size"),
        ("mask_rcnn", {"raw": True}, "raw: mask_rcnn has no raw outputs, because its second stage takes boxes"),
        ("fcos", {"batch_size": 2, "dynamic": False}, "batch_size: got 2, but a file of test_resnet fcos takes one"),
        ("fcos", {"to": "torch", "path": "a.pt2"}, "to: got 'torch', expected onnx or openvino: test_resnet fcos"),
        ("fcos", {"precision": "fp16"}, "precision: got 'fp16', expected fp32 for a detector"),
        ("fcos", {"precision": "int8", "calibration": "good"}, "precision: got 'int8', expected fp32 for a detector"),
        ("", {"to": "coreml", "path": "a.mlpackage"}, "to: Core ML files run only on Apple's systems.*--to torch"),
        ("fcos", {"to": "coreml", "path": "a.mlpackage"}, "to: Core ML files run only on Apple's systems"),
    ],
    ids=str,
)  # fmt: skip
def test_refused(nano, folders, head, settings, message):
    before = sorted(folders.rglob("*"))
    settings = dict(settings)
    path = folders / settings.pop("path", "a.onnx")
    for key in ("images", "calibration"):
        if key in settings:
            settings[key] = str(folders / settings[key])
    classifier = Classifier(nano, [str(k) for k in range(10)], nano.pretrained_cfg)
    subject = network(head, name="test_resnet") if head else classifier
    with pytest.raises(UserError, match=message) as raised:
        export(subject, path, ExportSettings(**settings))
    assert len(str(raised.value).splitlines()) == 1
    assert sorted(folders.rglob("*")) == before


def test_class_names_that_do_not_fit(nano, tmp_path):
    with pytest.raises(UserError, match="classes: got 2 names, the model has 10 outputs; give one name for each"):
        export_model(nano, tmp_path / "a.onnx", classes=["a", "b"])
    with pytest.raises(UserError, match="classes: Flatten does not tell its num_classes; name the classes"):
        export_model(torch.nn.Flatten(), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_a_model_without_classes(tmp_path):
    with pytest.raises(UserError, match="expected a classifier"):
        export_model(spread("atmnet_nano", num_classes=0, global_pool=""), tmp_path / "a.onnx")
