"""Exported files run on pictures without torch, and broken ones are refused in one line."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

import atmnet_runtime
from atmnet.data import DigitsReader, eval_transform, read_image
from atmnet.export import export_dense
from atmnet.predictions.prediction import predict
from atmnet.tasks import load_task
from atmnet_runtime import (
    ExportedFile,
    FileError,
    in_batches,
    open_classifier,
    open_detector,
    open_segmenter,
    preprocess,
)
from tests.export.conftest import CLASSES
from tests.export.dense import network

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def config(nano):
    keys = ("mean", "std", "interpolation", "crop_pct")
    return {key: nano.pretrained_cfg[key] for key in keys} | {
        "input_size": (3, 32, 32), "crop_mode": "center", "pixels": "normalised",
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(3, 32, 32), (3, 48, 40), (1, 33, 33)], ids=str)
@pytest.mark.parametrize("crop_pct", [1.0, 0.875, 0.9])
@pytest.mark.parametrize("picture", [(70, 41), (41, 70), (32, 32), (9, 200), (150, 99)], ids=str)
def test_preprocessing_is_timms(config, mode, size, crop_pct, picture):
    """Bit for bit, for pictures wider, higher and smaller than what comes out."""
    channels = size[0]
    config |= {"input_size": size, "crop_mode": mode, "crop_pct": crop_pct}
    config |= {key: config[key][:channels] for key in ("mean", "std")}
    noise = np.random.default_rng(0).integers(0, 256, (*picture, 3), np.uint8)
    image = Image.fromarray(noise).convert("L" if channels == 1 else "RGB")
    theirs = create_transform(
        size, **{key: config[key] for key in ("interpolation", "mean", "std", "crop_pct", "crop_mode")}
    )
    np.testing.assert_array_equal(preprocess(image, config), theirs(image).numpy())
    np.testing.assert_array_equal(eval_transform(config)(image).numpy(), theirs(image).numpy())


def test_pixels(config):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))
    raw = preprocess(image, config | {"pixels": "uint8"})
    unit = preprocess(image, config | {"pixels": "unit"})
    assert raw.dtype == np.uint8
    assert raw.flags.c_contiguous  # machine code takes strides for granted
    np.testing.assert_array_equal(unit, raw.astype(np.float32) / 255)
    mean, std = (np.float32(config[key])[:, None, None] for key in ("mean", "std"))
    np.testing.assert_array_equal(preprocess(image, config), (unit - mean) / std)


def test_digits_as_the_model_says(exported):
    report, model = exported
    file = open_classifier(report.path)
    assert file.classes == CLASSES
    reader = DigitsReader("val")
    images = [reader[i][0].convert("RGB") for i in range(40)]
    transform = eval_transform(file.config)
    with torch.no_grad():
        expected = model(torch.stack([transform(image) for image in images])).softmax(1).numpy()
    np.testing.assert_allclose(file(images), expected, atol=1e-6)


def test_the_module_works_alone(exported, tmp_path):
    """Copied into an empty folder, in a process that can import neither atmnet nor atmnet_cli, and without torch."""
    report, _ = exported
    shutil.copy(atmnet_runtime.__file__, tmp_path)
    code = (
        "import sys\nsys.modules.update(atmnet=None, atmnet_cli=None)\nimport atmnet_runtime\nfrom PIL import Image\n"
        "shares = atmnet_runtime.open_classifier(sys.argv[1])([Image.new('L', (40, 60))])\n"
        "print(atmnet_runtime.__file__, shares.shape, {'torch', 'timm', 'torchvision'} & sys.modules.keys())"
    )
    # -S: without the paths that site-packages add, such as that of these sources.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), sysconfig.get_path("purelib")])}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, report.path], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tmp_path / 'atmnet_runtime.py'} (1, 10) set()\n"


def test_fixed_batches_are_filled_up():
    seen = []

    def run(batch):
        seen.append(len(batch))
        return batch.sum((1, 2, 3), keepdims=True)[:, 0, 0]

    images = np.random.default_rng(0).random((7, 1, 2, 2))
    np.testing.assert_allclose(in_batches(run, images, 3), images.sum((1, 2, 3))[:, None])
    assert seen == [3, 3, 3]


def _truncated(path):
    path.write_bytes(path.read_bytes()[:100_000])


def _not_onnx(path):
    path.write_bytes(b"no model at all")


def _foreign(path):
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)


def _damaged_metadata(path):
    model = onnx.load(path)
    next(entry for entry in model.metadata_props if entry.key == "mean").value = "[0.5,"
    onnx.save(model, path)


def _older(path):
    model = onnx.load(path)
    kept = [entry for entry in model.metadata_props if entry.key != "crop_mode"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, path)


def _newer(path):
    model = onnx.load(path)
    next(entry for entry in model.metadata_props if entry.key == "task").value = '"pose"'
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_truncated, "not a readable model"),
        (_not_onnx, "not a readable model"),
        (_foreign, "its metadata lack classes, input_size"),
        (_damaged_metadata, "its metadata are damaged"),
        (_older, "its metadata lack crop_mode"),
        (
            _newer,
            "got a file for 'pose', expected classification, multilabel, segmentation, detection; update",
        ),
        (Path.unlink, "no such file"),
    ],
)
def test_files_that_cannot_be_used(exported, tmp_path, spoil, message):
    path = tmp_path / "model.onnx"
    path.write_bytes(exported[0].path.read_bytes())
    spoil(path)
    with pytest.raises(FileError, match=message) as raised:
        open_classifier(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_images_that_are_too_small(exported, capfd):
    file = ExportedFile(exported[0].path)
    assert (file.kind, file.task) == ("classification", "classification")
    with pytest.raises(FileError, match=r"cannot run on images \(1, 3, 2, 2\)"):
        file.logits(np.zeros((1, 3, 2, 2), np.float32))
    assert capfd.readouterr().err == ""


def test_other_endings(tmp_path):
    with pytest.raises(FileError, match=r"expected a file that ends in \.onnx or \.xml"):
        open_classifier(tmp_path / "model.pb")


def test_what_a_file_cannot_do(exported, segmenter_file):
    with pytest.raises(FileError, match="got precision 'bf16', expected 'f32': only OpenVINO can choose another one"):
        open_classifier(exported[0].path, precision="bf16")
    with pytest.raises(FileError, match="got a file for segmentation, expected one for classification; use Exp"):
        open_classifier(segmenter_file.report.path)


def test_metadata_is_json(exported):
    values = {entry.key: entry.value for entry in onnx.load(exported[0].path).metadata_props}
    assert {"task", *atmnet_runtime.KEYS["classification"]} < set(values)
    for value in values.values():
        json.loads(value)


def test_threads_get_their_own_answers(openvino_file):
    file = open_classifier(openvino_file.path)
    images = np.random.default_rng(0).normal(size=(4, 1, 3, 32, 32)).astype(np.float32)
    expected = [file.logits(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: file.logits(images[number % 4]), range(80)))
    for number, logits in enumerate(answers):
        np.testing.assert_allclose(logits, expected[number % 4], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "batch",
    [
        [[0.0]],
        np.zeros((3, 32, 32), np.float32),
        np.zeros((1, 3, 32, 32), np.uint8),
        np.zeros((0, 3, 32, 32), np.float32),
    ],
    ids=["list", "one picture", "bytes", "none"],
)
def test_what_is_no_batch(exported, batch):
    report, _ = exported
    with pytest.raises(FileError, match=r"got .*, expected an array of float32 \(N, C, H, W\) with N at least 1"):
        open_classifier(report.path).outputs(batch)


def test_pictures_are_read_as_training_reads_them(config, tmp_path):
    """16 bits, transparency, and turned by EXIF."""
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    clear = Image.effect_noise((32, 32), 90).convert("RGBA")
    clear.putalpha(100)
    clear.save(tmp_path / "clear.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.effect_noise((32, 48), 90).save(tmp_path / "turned.png", exif=exif)
    for name in ("deep.png", "clear.png", "turned.png"):
        with Image.open(tmp_path / name) as raw:
            np.testing.assert_array_equal(
                preprocess(raw, config), preprocess(read_image(str(tmp_path / name), "RGB"), config)
            )


def _predicted(path):
    """The outputs that `atmnet predict` computes for three pictures, and these."""
    task = load_task(str(path))
    rng = np.random.default_rng(0)
    pictures = [
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
        for size in [(64, 64), (90, 70), (50, 121)]
    ]
    predictions = predict(task, pictures, batch_size=1, device=torch.device("cpu"))
    return [prediction.output for prediction in predictions], pictures


@pytest.mark.parametrize("fixture", ["segmenter_file", "openvino_segmenter"])
def test_a_segmenter_without_torch(request, fixture):
    path = request.getfixturevalue(fixture).report.path
    expected, pictures = _predicted(path)
    segmenter = open_segmenter(path)
    for labels, picture in zip(expected, pictures, strict=True):
        ours = segmenter(picture)
        assert ours.shape == (picture.height, picture.width)
        assert (ours == labels.numpy()).mean() > 0.99
    assert len(np.unique(ours)) > 1


def test_a_detector_without_torch(mask_rcnn_file):
    path = mask_rcnn_file.report.path
    expected, pictures = _predicted(path)
    detector = open_detector(path)
    count = 0
    for objects, picture in zip(expected, pictures, strict=True):
        ours = detector(picture, threshold=0)
        np.testing.assert_allclose(ours.boxes, objects["boxes"].numpy(), atol=0.01)
        np.testing.assert_allclose(ours.scores, objects["scores"].numpy(), atol=1e-5)
        np.testing.assert_array_equal(ours.labels, objects["labels"].numpy())
        masks = objects["masks"].numpy()[:, 0] > 0.5
        assert ours.masks.shape == masks.shape == (len(ours.boxes), picture.height, picture.width)
        assert (ours.masks != masks).mean() < 0.001
        count += len(ours.boxes)
        best = detector(picture, threshold=float(np.median(ours.scores)))
        assert len(best.boxes) < len(ours.boxes) or len(ours.boxes) < 2
    assert count > 3


def test_a_detector_of_one_size_in_bytes_without_torch(onnx_libraries, tmp_path, monkeypatch):
    """Its input is that of `atmnet predict`, but for bytes that are rounded the other way."""
    export_dense(
        network("retinanet", name="test_resnet"), tmp_path / "a.onnx", dynamic=False, img_size=96, pixels="uint8"
    )
    batches, original = [], ExportedFile.outputs
    monkeypatch.setattr(ExportedFile, "outputs", lambda self, batch: batches.append(batch) or original(self, batch))
    expected, pictures = _predicted(tmp_path / "a.onnx")
    detector = open_detector(tmp_path / "a.onnx")
    ours = [detector(picture, threshold=0) for picture in pictures]
    for theirs, batch in zip(batches[: len(pictures)], batches[len(pictures) :], strict=True):
        assert batch.shape == theirs.shape == (1, 3, 96, 96)
        assert np.abs(batch.astype(int) - theirs).max() <= 1
        assert (batch != theirs).mean() < 0.05
    assert [len(objects.boxes) for objects in ours] == [len(objects["boxes"]) for objects in expected]
    assert ours[0].masks is None


def test_files_of_other_kinds_are_refused(segmenter_file, mask_rcnn_file, raw_file, bytes_segmenter):
    for open_file, path, reason in [
        (open_detector, segmenter_file.report.path, "expected one for detection"),
        (open_segmenter, mask_rcnn_file.report.path, "expected one for segmentation"),
        (open_detector, raw_file.report.path, "export it without --raw"),
        (open_segmenter, next(bytes_segmenter[1].glob("*.onnx")), "export it with --dynamic true"),
    ]:
        with pytest.raises(FileError, match=reason):
            open_file(path)
