"""Detection and segmentation from the command line, on scenes as files."""

import csv
import json
import shutil

import pytest
from PIL import Image

from atmnet.engine import train
from tests.engine.runs import DETECTOR, SEGMENTER, tiny


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Scenes written out, in COCO and ADE20K layout; the numbers of COCO's classes have gaps."""
    from atmnet_cli.command import main

    folder = tmp_path_factory.mktemp("files") / "scenes"
    assert main(["make-scenes", str(folder), "--train=8", "--val=4", "--img_size=64"]) == 0
    for path in (folder / "annotations").glob("*.json"):
        content = json.loads(path.read_text())
        for category in content["categories"]:
            category["id"] *= 7
        for annotation in content["annotations"]:
            annotation["category_id"] *= 7
        path.write_text(json.dumps(content))
    return folder


def _size(path):
    with Image.open(path) as picture:
        return picture.size


def _train(scenes, folder, changes, source):
    changes = {
        **changes, "data.source": source, "data.kwargs": {}, "epochs": 1, "optim.warmup_epochs": 0, "batch_size": 4,
        "evaluate_every": 1,
    }  # fmt: skip
    return train(tiny(scenes, folder / "run", changes))


@pytest.fixture(scope="module")
def detector(scenes, tmp_path_factory):
    return _train(scenes, tmp_path_factory.mktemp("detector"), DETECTOR, "coco")


@pytest.fixture(scope="module")
def segmenter(scenes, tmp_path_factory):
    return _train(scenes, tmp_path_factory.mktemp("segmenter"), SEGMENTER, "ade20k")


@pytest.mark.parametrize("source", ["coco", "ade20k"])
def test_check_data_finds_nothing_wrong(atmnet, scenes, source):
    result = atmnet("check-data", f"--data.source={source}", "--data.root", scenes)
    assert result.status == 0
    assert "train: 8 images" in result.out
    assert result.out.splitlines()[-1] == "no errors"


def test_check_data_finds_what_is_wrong(atmnet, scenes, tmp_path):
    root = shutil.copytree(scenes, tmp_path / "scenes")
    (root / "images" / "val" / "000001.png").unlink()
    result = atmnet("check-data", "--data.source=coco", "--data.root", root)
    assert result.status == 1
    assert result.out.splitlines()[-1] == "1 errors"


@pytest.mark.parametrize("name", ["detector", "segmenter"])
def test_evaluation_says_what_training_said(atmnet, name, request):
    run = request.getfixturevalue(name)
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    result = atmnet("evaluate", run / "last", "--device=cpu", "--batch_size=3")
    assert result.status == 0
    metrics = json.loads(result.out)
    assert metrics == pytest.approx({key: last[key] for key in metrics}, abs=1e-3)
    assert {"box_ap", "mask_ap"} < metrics.keys() or {"miou", "macc", "aacc"} < metrics.keys()


def test_windows_scales_and_flips(atmnet, segmenter):
    windows = ["--windows.window=48", "--windows.stride=32", "--windows.scales=[0.75,1.25]", "--flip=true"]
    result = atmnet("evaluate", segmenter, *windows)
    assert result.status == 0
    assert "miou" in json.loads(result.out)
    assert "windows.window" in atmnet("evaluate", segmenter, "--windows.window=0").error


@pytest.mark.parametrize("name", ["detector", "segmenter"])
def test_report(atmnet, name, request, tmp_path):
    run, path = request.getfixturevalue(name), tmp_path / "report.html"
    result = atmnet("evaluate", run, "--report", path)
    assert result.status == 0
    page = path.read_text(encoding="utf-8")
    assert json.loads(result.out)["images"] == 4
    assert all(f'<section id="{section}"' in page for section in ("curve", "classes", "mistakes", "looks"))


@pytest.mark.parametrize("name", ["detector", "segmenter"])
def test_predict_draws_and_writes(atmnet, name, request, scenes, tmp_path):
    run, images = request.getfixturevalue(name), scenes / "images" / "val"
    sheet, output = tmp_path / "sheet.png", tmp_path / "out"
    options = ["--output", output, "--sheet", sheet, "--format=jsonl"]
    result = atmnet("predict", run, images, *options, *(["--threshold=0.0"] if name == "detector" else []))
    assert result.status == 0
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [line["image"] for line in lines] == [str(path) for path in sorted(images.iterdir())]
    for path in images.iterdir():
        assert _size(output / path.name) >= _size(path)
    assert min(_size(sheet)) > 0
    if name == "segmenter":
        assert all(sum(region["share"] for region in line["regions"]) == pytest.approx(1) for line in lines)
        assert _size(output / "000000_labels.png") == (64, 64)
        return
    with (output / "predictions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["class"]]
    shown = [(line["image"], each["class"], each["score"], each["box"]) for line in lines for each in line["objects"]]
    assert [
        (row["image"], row["class"], float(row["score"]), [float(row[corner]) for corner in ("x0", "y0", "x1", "y1")])
        for row in rows
    ] == shown
    labels = [path.read_text().splitlines() for path in sorted((output / "labels").iterdir())]
    assert [len(of_image) for of_image in labels] == [len(line["objects"]) for line in lines]
    found = json.loads((output / "results.json").read_text())
    assert len(found) == sum(len(line["objects"]) for line in lines)
    assert {"image_id", "category_id", "bbox", "score", "segmentation"} <= found[0].keys()
    numbers = [category["id"] for category in json.loads((output / "images.json").read_text())["categories"]]
    assert numbers == [7 * n for n in range(1, 11)]
    assert {one["category_id"] for one in found} <= set(numbers)


def test_a_photograph_of_another_shape(atmnet, detector, segmenter, tmp_path):
    Image.effect_noise((400, 31), 80).save(tmp_path / "strip.png")
    for run in (detector, segmenter):
        assert atmnet("predict", run, tmp_path / "strip.png").status == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.head": "mask_rcn"}, "mask_rcnn"),
        ({"data.source": "ade20k"}, "ade20k"),
        ({"model.name": "vit_tiny_patch16_22"}, "vit_tiny_patch16_224"),
        ({"compile": True}, "compile"),
        ({"model.head_kwargs": {"box_score_tresh": 0.1}}, "box_score_thresh"),
        ({"model.kwargs": {"in_chans": 4}}, "in_chans"),
        ({"augment.mixup": 0.2}, "augment.mixup: model.head 'mask_rcnn' does not take it; leave it at its"),
        ({"dense.crop_size": 64}, "dense.crop_size: model.head 'mask_rcnn' does not take it"),
        ({"data.img_size": 64}, "data.img_size: model.head 'mask_rcnn' does not take it"),
        ({"optim.layer_decay": 0.8}, "optim.layer_decay: model.head 'mask_rcnn' does not take it"),
        ({"data.ignore_zero": False}, "data.ignore_zero: data.source 'coco' does not take it"),
    ],
    ids=str,
)
def test_refused(changes, said, scenes, tmp_path):
    from atmnet_cli.errors import UserError

    options = tiny(scenes, tmp_path / "run", {**DETECTOR, "data.source": "coco", "data.kwargs": {}, **changes})
    with pytest.raises(UserError, match=said):
        train(options)
    assert not (tmp_path / "run").exists()


def test_a_classification_source_is_refused(tmp_path):
    from atmnet_cli.errors import UserError

    with pytest.raises(UserError, match=r"data\.source"):
        train(tiny("", tmp_path / "run", {**DETECTOR, "data.source": "digits"}))


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("coco", "note: class without objects (--data.used_classes true leaves it out): 10"),
        ("ade20k", "error: label out of range: 8"),
    ],
)
def test_check_data_of_nothing_labelled(atmnet, scenes, tmp_path, source, line):
    root = shutil.copytree(scenes, tmp_path / "scenes")
    for path in (root / "annotations").rglob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"annotations": []}))
    for path in (root / "annotations").rglob("*.png"):
        Image.new("L", (64, 64), 200).save(path)
    result = atmnet("check-data", f"--data.source={source}", "--data.root", root)
    assert result.status == (source == "ade20k")
    assert "shorter side 64 to 64" in result.out
    assert line in result.out


def test_one_class_is_too_few(atmnet, scenes, tmp_path):
    (tmp_path / "classes.txt").write_text("road")
    told = atmnet(
        "train", "--model.head=semantic_fpn", "--data.source=ade20k", "--data.root", scenes, "--output",
        tmp_path / "run", "--data.classes", tmp_path / "classes.txt", "--batch_size=4",
    )  # fmt: skip
    assert "a segmenter needs at least two" in told.error


def test_evaluation_keeps_what_is_not_named(atmnet, segmenter, scenes):
    """The source, and whether 0 is ignored, as in training."""
    found = json.loads(atmnet("evaluate", segmenter, "--data.root", scenes, "--data.workers=0").out)
    assert found == json.loads(atmnet("evaluate", segmenter).out)


def test_evaluation_takes_what_is_named_even_if_it_is_the_default(atmnet, segmenter, tmp_path):
    """A value that equals the default of training is still a value that was given."""
    expected = json.loads(atmnet("evaluate", segmenter).out)
    run = shutil.copytree(segmenter, tmp_path / "run", symlinks=True)
    options = json.loads((run / "options.json").read_text())
    options["data"]["ignore_zero"] = False
    (run / "options.json").write_text(json.dumps(options))
    # As recorded, 0 is a class, and 11 is none.
    assert "its label map has the label 11" in atmnet("evaluate", run).last_error
    assert json.loads(atmnet("evaluate", run, "--data.ignore_zero=true").out) == expected


def test_options_of_others_are_refused(atmnet, detector, scenes):
    assert "windows: only segmenters take windows" in atmnet("evaluate", detector, "--windows.stride=48").error
    assert "data.img_size: only classifiers take it" in atmnet("evaluate", detector, "--data.img_size=96").error
    assert "windows: only segmenters take windows" in atmnet("evaluate", detector, "--windows.window=48").error
    assert "windows: only segmenters take windows" in atmnet("predict", detector, scenes, "--windows.scales=[1]").error
    assert "top: detection does not take it; leave it out" in atmnet("predict", detector, scenes, "--top=3").error
    assert "contains its own weights" in atmnet("evaluate", detector, "--weights=w.safetensors").error


def test_mirrored_images_count(atmnet, detector, scenes, tmp_path):
    picture = sorted((scenes / "images" / "val").iterdir())[0]
    for folder, arguments in {"one": [], "both": ["--flip=true"]}.items():
        assert atmnet("predict", detector, picture, "--output", tmp_path / folder, *arguments).status == 0
    one, both = (json.loads((tmp_path / folder / "results.json").read_text()) for folder in ("one", "both"))
    assert one != both
    assert json.loads(atmnet("evaluate", detector, "--flip=true").out)["images"] == 4
