"""`atmnet predict` with an exported file: the same table and pictures as with the checkpoint, without the network."""

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
    """A function: what the command prints. For files without any network at hand."""

    def run(model, *arguments, status=0):
        with monkeypatch.context() as patch:
            if str(model).endswith((".onnx", ".xml")):
                patch.delattr(timm, "create_model")
            assert main(["predict", str(model), *map(str, arguments), "--device=cpu"]) == status
        return capfd.readouterr()

    return run


@pytest.fixture
def photographs(tmp_path):
    """Three pictures with something in them, of several sizes."""
    folder, rng = tmp_path / "pictures", np.random.default_rng(0)
    folder.mkdir()
    for number, size in enumerate([(64, 64), (90, 70), (50, 120)]):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


def same_pictures(ours, theirs, share=0.001):
    """Files of the same names, whose pixels differ at that share of places at most."""
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


@pytest.mark.parametrize("pixels", ["unit", "uint8"])
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
        for key in ("predictions",):
            assert [p["probability"] for p in a[key]] == pytest.approx([p["probability"] for p in b[key]], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "written", "arguments"),
    [
        ("a.onnx", {}, []),
        ("a.onnx", {"pixels": "uint8"}, ["--windows.scales=[1.0, 1.5]", "--windows.flip=true"]),
        ("a.onnx", {"dynamic": False, "batch_size": 2}, ["--windows.window=64"]),
        ("a.xml", {"to": "openvino"}, []),
    ],
    ids=str,
)
def test_segmenter(predict, photographs, tmp_path, name, written, arguments):
    """A file of one size is fed by windows of that size."""
    if written.get("to") == "openvino":
        pytest.importorskip("openvino")
    (tmp_path / "run").mkdir()
    found = network("semantic_fpn", name="test_resnet")
    folder = save(found, tmp_path / "run")
    export_dense(found, tmp_path / name, **written)
    own = arguments if written.get("dynamic", True) else []
    ours = predict(tmp_path / name, photographs, *own, "--output", tmp_path / "ours")
    theirs = predict(folder, photographs, *arguments, "--output", tmp_path / "theirs")
    if written.get("pixels") == "uint8":  # resized images are rounded to bytes
        same_pictures(tmp_path / "ours", tmp_path / "theirs", share=0.05)
        return
    assert ours.out == theirs.out
    assert theirs.out.count(" % ") > 3
    same_pictures(tmp_path / "ours", tmp_path / "theirs")


@pytest.mark.parametrize(
    ("head", "pixels"),
    [("mask_rcnn", "normalised"), pytest.param("fcos", "unit", marks=pytest.mark.slow)],
)
def test_detector(predict, photographs, tmp_path, head, pixels):
    (tmp_path / "run").mkdir()
    found = network(head, name="test_resnet")
    found.category_ids = [3, 7, 8, 44, 90]
    folder = save(found, tmp_path / "run")
    export_dense(found, tmp_path / "a.onnx", pixels=pixels)
    # More pictures at once are padded to one size, which changes what a detector finds in them.
    arguments = [photographs, "--threshold=0.1", "--batch_size=1", "--output"]
    ours = predict(tmp_path / "a.onnx", *arguments, tmp_path / "ours")
    theirs = predict(folder, *arguments, tmp_path / "theirs")
    assert ours.out == theirs.out
    assert " 0 objects" not in theirs.out
    same_pictures(tmp_path / "ours", tmp_path / "theirs", share=0.01)
    results = [json.loads((tmp_path / side / "results.json").read_text()) for side in ("ours", "theirs")]
    assert all(("segmentation" in one) == (head == "mask_rcnn") for side in results for one in side)
    assert all(one["category_id"] in found.category_ids for side in results for one in side)
    ours_boxes, their_boxes = (  # scores that differ in the last digit change the order
        np.sort([[*one["bbox"], one["score"], one["category_id"], one["image_id"]] for one in side], axis=0)
        for side in results
    )
    np.testing.assert_allclose(ours_boxes, their_boxes, atol=1e-2)


def test_detector_of_one_size(predict, photographs, tmp_path):
    """What does not fill the size is filled up with zeros."""
    (tmp_path / "run").mkdir()
    found = network("fcos", name="test_resnet")
    export_dense(found, tmp_path / "a.onnx", dynamic=False, img_size=96)
    found.dense.sides, found.dense.longest = [96], 96
    found.model.transform.size_divisible = 96
    folder = save(found, tmp_path / "run")
    for which in (tmp_path / "a.onnx", folder):
        told = predict(which, photographs / "0.png", "--threshold=0.1").out
        assert " objects: " in told
    assert predict(tmp_path / "a.onnx", photographs / "1.png", photographs / "2.png").out.count("object") == 2


def test_raw_outputs_are_no_objects(predict, photographs, tmp_path):
    export_dense(network("fcos", name="test_resnet"), tmp_path / "a.onnx", raw=True, dynamic=False)
    told = predict(tmp_path / "a.onnx", photographs, status=2).err
    assert "holds what the heads of a detector say, not objects: export it without --raw" in told


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
        said = model(torch.stack([transform(image.convert("RGB")) for image, _ in samples])).argmax(1)
    right = (said == torch.tensor([label for _, label in samples])).float().mean().item()
    assert json.loads(capfd.readouterr().out)["top1"] == pytest.approx(100 * right, abs=1e-4)
    assert main([*arguments, "--report=a.html"]) == 2
    assert "report: shows where a network looks, which takes its checkpoint" in capfd.readouterr().err
    assert main([*arguments, "--data.img_size=64"]) == 2
    assert "data.img_size: an exported file keeps the size" in capfd.readouterr().err
    assert main(["export", str(exported[0].path)]) == 2
    assert "is an exported file; name the checkpoint" in capfd.readouterr().err


@pytest.mark.parametrize("content", [b"none", None])
def test_files_that_cannot_be_used(predict, photographs, tmp_path, content):
    if content is not None:
        (tmp_path / "a.onnx").write_bytes(content)
    told = predict(tmp_path / "a.onnx", photographs, status=2).err
    assert told.startswith(f"atmnet: error: {tmp_path}/a.onnx: {'not a readable model' if content else 'no such file'}")
