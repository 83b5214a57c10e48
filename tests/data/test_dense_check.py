"""check-data on COCO's and ADE20K's formats: each kind of problem is found, named and counted."""

import json

import numpy as np
import pytest
from PIL import Image

from atmnet.data.dense_check import check_ade20k, check_coco
from atmnet.data.write_scenes import write_scenes
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions, MakeScenesOptions
from tests.data.tiny_dense import SIZE, coco_content, write_ade20k, write_coco, write_picture


def found(problems):
    """Kind -> number."""
    return {kind: len(names) for kind, names in problems.items()}


def checked_coco(root, change=None, classes=None):
    content = coco_content()
    if change:
        change(content)
    return check_coco(DataOptions(source="coco", root=str(write_coco(root, content))), "train", classes)


def checked_ade20k(root, **options):
    return check_ade20k(DataOptions(source="ade20k", root=str(root), **options), "training")


def test_sound_coco(tmp_path):
    check = checked_coco(tmp_path)
    assert found(check.errors) == {}
    assert check.sizes == [(30, 20)] * 3
    assert dict(check.labels) == {0: 2, 1: 1}
    assert len(set(check.pixels.values())) == 3
    assert check.notes == {
        "image without objects": ["20.png"],
        "crowd region: not trained on, ignored in evaluation": ["10.png, annotation 2"],
        "object without a mask: its box is the mask": ["30.png, annotation 3"],
        "box beyond the image's edge: clipped in training": ["30.png, annotation 3 [20.5, 10, 20, 5]"],
    }


@pytest.mark.parametrize(
    ("change", "kind", "names"),
    [
        (lambda c: c["images"][0].update(file_name="x.png"), "missing file", ["x.png"]),
        (lambda c: c["annotations"][0].update(bbox=[2, 3, 0, 4]), "empty box: left out",
         ["10.png, annotation 1 [2, 3, 0, 4]"]),
        (lambda c: c["annotations"][0].update(bbox=[40, 3, 5, 4]), "box outside the image: left out",
         ["10.png, annotation 1 [40, 3, 5, 4]"]),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, "a", 3]),
         "bbox that is not four numbers of the image's order", ["id 1"]),
        (lambda c: c["annotations"][0].update(area=None), "area that is not a number of the image's order", ["id 1"]),
        (lambda c: c["annotations"][0].update(image_id=5), "annotation of an unknown image", ["id 1"]),
        (lambda c: c["annotations"][0].update(category_id=5), "annotation of an unknown category", ["id 1"]),
        (lambda c: c["annotations"][0].update(id=3), "annotation id more than once", ["id 3"]),
        (lambda c: c["images"][0].update(id=10), "image id more than once", ["id 10"]),
        (lambda c: c["images"][1].update(width=31), "picture whose size differs from its annotation",
         ["10.png (is 30x20, annotated as 31x20)"]),
        (lambda c: c["annotations"][1].update(segmentation={"size": [9, 9], "counts": [81]}),
         "mask whose size differs from the image's", ["10.png, annotation 2 (is [9, 9], image [20, 30])"]),
        (lambda c: c["annotations"][1].update(segmentation={"size": [20, 30], "counts": [81]}),
         "mask that cannot be decoded",
         ["10.png, annotation 2 (its runs sum to 81 pixels; the image has 600)"]),
        (lambda c: c["annotations"][0].update(segmentation=[[1, 2]]), "mask that cannot be decoded",
         ["10.png, annotation 1 (expected polygons of at least three points x, y)"]),
    ],
)  # fmt: skip
def test_errors_of_coco(tmp_path, change, kind, names):
    assert checked_coco(tmp_path, change).errors[kind] == names


def test_unreadable_pictures(tmp_path):
    write_coco(tmp_path)
    (tmp_path / "train" / "10.png").write_bytes(b"no picture")
    check = check_coco(DataOptions(source="coco", root=str(tmp_path)), "train")
    assert check.errors == {"unreadable": ["10.png (not a picture, or too damaged to be recognised as one)"]}
    assert len(check.sizes) == 2


def test_notes_of_coco(tmp_path):
    def change(content):
        content["categories"].append({"id": 8, "name": "boat"})
        content["annotations"][1]["segmentation"]["counts"] = [20 * 30]

    notes = checked_coco(tmp_path, change).notes
    assert notes["class without objects (--data.used_classes true leaves it out)"] == ["boat"]
    assert notes["empty mask"] == ["10.png, annotation 2"]


def test_other_classes(tmp_path):
    with pytest.raises(UserError, match="not the expected classes"):
        checked_coco(tmp_path, classes=["train"])


def test_sound_ade20k(tmp_path):
    check = checked_ade20k(write_ade20k(tmp_path))
    assert (found(check.errors), found(check.notes)) == ({}, {})
    assert check.sizes == [(30, 20)] * 2
    assert dict(check.labels) == {0: 2, 1: 2, 2: 2}


def test_errors_of_ade20k(tmp_path):
    write_ade20k(tmp_path)
    maps = tmp_path / "annotations" / "training"
    bad = {
        "range": np.full(SIZE, 9, np.uint8),
        "size": np.ones((20, 31), np.uint8),
        "mode": np.zeros((*SIZE, 3), np.uint8),
        "lost": np.ones(SIZE, np.uint8),
    }
    for name, labels in bad.items():
        Image.fromarray(labels).save(maps / f"{name}.png")
        if name != "lost":
            write_picture(tmp_path / "images" / "training" / f"{name}.png")
    write_picture(tmp_path / "images" / "training" / "mapless.png")
    (tmp_path / "images" / "training" / "a0.jpg").write_bytes(b"no picture")
    assert checked_ade20k(tmp_path).errors == {
        "image without a label map": ["mapless.png"],
        "label map without an image": ["lost.png"],
        "unreadable": ["a0.jpg (not a picture, or too damaged to be recognised as one)"],
        "label out of range": ["range.png (9)"],
        "label map whose size differs from the image's": ["size.png (is 31x20, image 30x20)"],
        "unreadable label map": ["mode.png (its label map has the mode RGB; expected a grey or palette picture)"],
    }


def test_notes_of_ade20k(tmp_path):
    write_ade20k(tmp_path, classes=("wall", "sky", "cat", "boat"))
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "annotations" / "training" / "a0.png")
    assert checked_ade20k(tmp_path).notes == {
        "class that no label map contains": ["boat"],
        "label map that contains only ignored pixels": ["a0.jpg"],
    }


def test_zero_as_a_class(tmp_path):
    check = checked_ade20k(write_ade20k(tmp_path), ignore_zero=False)
    assert check.errors == {"label out of range": ["a0.jpg (3)", "a1.jpg (3)"]}


def test_scenes_are_sound(tmp_path):
    folder = tmp_path / "scenes"
    write_scenes(MakeScenesOptions(str(folder), train=12, val=3, img_size=64))
    for split in ("train", "val"):
        options = DataOptions(source="coco", root=str(folder))
        assert found(check_coco(options, split).errors) == {}
        check = check_ade20k(options, split)
        assert found(check.errors) == {}
        assert check.labels[0] == len(check.source)


def test_damaged_json(tmp_path):
    (write_coco(tmp_path) / "annotations" / "instances_train.json").write_text(json.dumps({"images": []}))
    with pytest.raises(UserError, match="expected COCO's format"):
        check_coco(DataOptions(source="coco", root=str(tmp_path)), "train")
