"""`atmnet predict` with an exported file prints and draws the same as with the checkpoint, without the network."""

import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from atmnet.data import DigitsReader, eval_transform
from atmnet.export import export_dense, export_model, save_pretrained
from atmnet.tasks import Classifier
from atmnet_cli.command import main
from tests.export.conftest import CLASSES
from tests.export.dense import network, save
from tests.export.models import spread

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture
def predict(capfd, monkeypatch):
    """A function that runs the command and returns what it prints; for files, no network of timm can be created."""

    def run(model, *arguments, status=0):
        with monkeypatch.context() as patch:
            if str(model).endswith((".onnx", ".xml")):
                patch.delattr(timm, "create_model")
            assert main(["predict", str(model), *map(str, arguments), "--device=cpu"]) == status
        return capfd.readouterr()

    return run


def same_pictures(ours, theirs, share=0.001):
    """Assert that two folders have pictures of the same names, which differ in at most this share of their values."""
    names = sorted(path.name for path in theirs.glob("*.png"))
    assert names
    assert sorted(path.name for path in ours.glob("*.png")) == names
    for name in names:
        with Image.open(ours / name) as a, Image.open(theirs / name) as b:
            assert a.size == b.size
            assert (np.asarray(a) != np.asarray(b)).mean() <= share


def records(text):
    return [json.loads(line) for line in text.splitlines()]


def test_classifier(exported, predict, tmp_path):
    report, model = exported
    folder = tmp_path / "model"
    folder.mkdir()
    save_pretrained(Classifier(model, CLASSES, timm.data.resolve_model_data_config(model)), folder)
    (tmp_path / "digits").mkdir()
    reader = DigitsReader("val")
    for number in range(5):
        reader[number][0].save(tmp_path / "digits" / f"{number}.png")
    (tmp_path / "digits" / "x.png").write_bytes(b"broken")
    tables = [predict(which, tmp_path / "digits", status=1) for which in (report.path, folder)]
    assert tables[0] == tables[1]
    for which, name in ((report.path, "a.png"), (folder, "b.png")):
        predict(which, tmp_path / "digits", "--sheet", tmp_path / name, status=1)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("pixels", ["uint8", pytest.param("unit", marks=pytest.mark.slow)])
def test_pixels_of_classifiers(predict, photographs, tmp_path, pixels):
    model = spread("test_resnet", num_classes=10)
    config = timm.data.resolve_model_data_config(model)
    folder = tmp_path / "model"
    folder.mkdir()
    save_pretrained(Classifier(model, CLASSES, config), folder)
    export_model(model, tmp_path / "a.onnx", classes=CLASSES, config=config, pixels=pixels, dynamic=False, batch_size=2)
    ours, theirs = (
        records(predict(which, photographs, "--format=jsonl").out) for which in (tmp_path / "a.onnx", folder)
    )
    for a, b in zip(ours, theirs, strict=True):
        assert [p["class"] for p in a["predictions"]] == [p["class"] for p in b["predictions"]]
        expected = [p["probability"] for p in b["predictions"]]
        assert [p["probability"] for p in a["predictions"]] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("fixture", "arguments"),
    [
        ("segmenter_file", []),
        ("segmenter_file", ["--windows.scales=[1.0, 1.5]", "--flip=true"]),
        ("openvino_segmenter", []),
    ],
    ids=str,
)
def test_segmenter(predict, photographs, tmp_path, request, fixture, arguments):
    _, checkpoint, report = request.getfixturevalue(fixture)
    ours = predict(report.path, photographs, *arguments, "--output", tmp_path / "ours")
    theirs = predict(checkpoint, photographs, *arguments, "--output", tmp_path / "theirs")
    assert ours.out == theirs.out
    assert theirs.out.count(" % ") > 3
    same_pictures(tmp_path / "ours", tmp_path / "theirs")


def test_segmenter_of_one_size_in_bytes(predict, bytes_segmenter, tmp_path):
    """Such a file runs on windows of its size; pictures that need no resizing lose nothing in bytes."""
    _, folder = bytes_segmenter
    (tmp_path / "pictures").mkdir()
    for number, size in enumerate([(48, 48), (90, 48), (48, 130)]):
        noise = Image.effect_noise((9, 9), 120).convert("RGB")
        noise.resize(size, Image.Resampling.BICUBIC).save(tmp_path / "pictures" / f"{number}.png")
    file = folder / "test_resnet_semantic_fpn.onnx"
    ours = predict(file, tmp_path / "pictures", "--output", tmp_path / "ours")
    arguments = ["--windows.window=48", "--output", tmp_path / "theirs"]
    theirs = predict(folder / "run", tmp_path / "pictures", *arguments)
    assert ours.out == theirs.out
    same_pictures(tmp_path / "ours", tmp_path / "theirs")


def test_detector(predict, photographs, tmp_path, mask_rcnn_file):
    check_detector(predict, photographs, tmp_path, *mask_rcnn_file)


@pytest.mark.slow
def test_detector_of_unit_pixels(predict, photographs, tmp_path, onnx_libraries):
    (tmp_path / "run").mkdir()
    dense = network("fcos", name="test_resnet")
    report = export_dense(dense, tmp_path / "a.onnx", pixels="unit")
    check_detector(predict, photographs, tmp_path, dense, save(dense, tmp_path / "run"), report)


def check_detector(predict, photographs, tmp_path, dense, checkpoint, report):
    # More pictures at once are padded to one size, which changes what a detector finds in them.
    arguments = [photographs, "--threshold=0.1", "--batch_size=1", "--output"]
    ours = predict(report.path, *arguments, tmp_path / "ours")
    theirs = predict(checkpoint, *arguments, tmp_path / "theirs")
    assert ours.out == theirs.out
    assert " 0 objects" not in theirs.out
    same_pictures(tmp_path / "ours", tmp_path / "theirs", share=0.01)
    results = [json.loads((tmp_path / side / "results.json").read_text()) for side in ("ours", "theirs")]
    has_masks = dense.options.head == "mask_rcnn"
    assert all(("segmentation" in one) == has_masks for side in results for one in side)
    assert all(one["category_id"] in dense.category_ids for side in results for one in side)
    ours_boxes, their_boxes = (  # scores that differ in the last digit change the order
        np.sort([[*one["bbox"], one["score"], one["category_id"], one["image_id"]] for one in side], axis=0)
        for side in results
    )
    np.testing.assert_allclose(ours_boxes, their_boxes, atol=1e-2)


def test_detector_of_one_size(predict, photographs, tmp_path):
    """Pictures of another shape are filled up with zeros."""
    (tmp_path / "run").mkdir()
    dense = network("fcos", name="test_resnet")
    export_dense(dense, tmp_path / "a.onnx", dynamic=False, img_size=96)
    dense.dense.img_sizes, dense.dense.max_img_size = [96], 96
    dense.model.transform.size_divisible = 96
    folder = save(dense, tmp_path / "run")
    for which in (tmp_path / "a.onnx", folder):
        assert " objects: " in predict(which, photographs / "0.png", "--threshold=0.1").out
    assert predict(tmp_path / "a.onnx", photographs / "1.png", photographs / "2.png").out.count("object") == 2


def test_raw_outputs_are_no_objects(predict, photographs, raw_file):
    error = predict(raw_file.report.path, photographs, status=2).err
    assert "contains raw outputs of a detector rather than objects; export it without --raw" in error


def test_evaluation(exported, tmp_path, capfd):
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(exported[0].path)
    next(entry for entry in graph.metadata_props if entry.key == "classes").value = json.dumps(list("0123456789"))
    onnx.save(graph, tmp_path / "digits.onnx")
    arguments = ["evaluate", str(tmp_path / "digits.onnx"), "--data.source=digits", "--data.workers=0", "--device=cpu"]
    assert main(arguments) == 0
    reader, model = DigitsReader("val"), exported[1]
    transform = eval_transform(timm.data.resolve_model_data_config(model))
    samples = [reader[number] for number in range(len(reader))]
    with torch.no_grad():
        predicted = model(torch.stack([transform(image.convert("RGB")) for image, _ in samples])).argmax(1)
    right = (predicted == torch.tensor([label for _, label in samples])).float().mean().item()
    assert json.loads(capfd.readouterr().out)["top1"] == pytest.approx(100 * right, abs=1e-4)
    assert main([*arguments, "--report=a.html"]) == 2
    assert "report: an exported file does not show where its network looks" in capfd.readouterr().err
    assert main([*arguments, "--data.img_size=64"]) == 2
    assert "data.img_size: an exported file keeps the size" in capfd.readouterr().err
    assert main(["export", str(exported[0].path)]) == 2
    assert "model: this is an exported file; name the checkpoint" in capfd.readouterr().err


@pytest.mark.parametrize("content", [b"none", None])
def test_files_that_cannot_be_used(predict, photographs, tmp_path, content):
    if content is not None:
        (tmp_path / "a.onnx").write_bytes(content)
    error = predict(tmp_path / "a.onnx", photographs, status=2).err
    assert error.startswith(
        f"atmnet: error: {tmp_path}/a.onnx: {'not a readable model' if content else 'no such file'}"
    )
