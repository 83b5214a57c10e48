"""What has changed in the data of a split is found and named, for every source, without opening a picture."""

import json
import os
import shutil
import time

import pytest

from atmnet.data.inventory import class_changes, file_changes, file_sizes, keeps_labels
from atmnet.data.sources import open_split
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions
from tests.data.tiny import CLASSES, pack, write_digits, write_shards


@pytest.fixture
def root(tmp_path):
    return write_digits(tmp_path / "data")


def _open(root, source="folder", kind="classification", split="train", **options):
    return open_split(DataOptions(source=source, root=str(root), **options), split, kind).inventory()


def test_folders(root):
    before = _open(root)
    assert (before.classes, before.labels) == (list(CLASSES), [0] * 8 + [1] * 8 + [2] * 8)
    assert before.names[8] == "five/five-0.png"
    assert before.sizes[8] == (root / "train" / "five" / "five-0.png").stat().st_size
    assert list(file_changes(before, _open(root))) == []
    (root / "train" / "five" / "five-0.png").unlink()
    (root / "train" / "two" / "two-1.png").rename(root / "train" / "eight" / "two-1.png")
    with (root / "train" / "two" / "two-2.png").open("ab") as file:
        file.write(b"x")
    after = _open(root)
    assert class_changes(before.classes, after, before) == []
    assert list(file_changes(before, after)) == [
        "2 images are missing, e.g. five/five-0.png",
        "1 image was added, e.g. eight/two-1.png",
        "1 image has another size, e.g. two/two-2.png",
    ]


@pytest.mark.parametrize(
    ("old", "new", "keeps"), [("five", "vijf", False), ("eight", "drake", True), ("two", "zwei", True)]
)
def test_a_renamed_class(root, old, new, keeps):
    before = _open(root)
    (root / "train" / old).rename(root / "train" / new)
    after = _open(root)
    assert class_changes(before.classes, after, before) == [f"class {old!r} was renamed {new!r}"]
    assert class_changes(before.classes, after) == [f"class {old!r} is missing", f"class {new!r} was added"]
    assert keeps_labels(before.classes, after.classes) == keeps


def test_other_changes_of_classes(root):
    before = _open(root)
    shutil.copytree(root / "train" / "two", root / "train" / "copy")
    after = _open(root)
    assert class_changes(before.classes, after, before) == ["class 'copy' was added"]
    assert not keeps_labels(before.classes, after.classes)
    after = _open(root)
    before.classes, after.classes = [["eight", "five", "two", "copy"], ["five", "eight", "two", "copy"]]
    assert class_changes(before.classes, after, before) == [
        "the classes are in another order: label 0 was 'eight', is 'five'"
    ]
    assert not keeps_labels(before.classes, after.classes)


def test_archives(root):
    pack(root / "train", root / "train.tar")
    shutil.move(root / "train", root / "raw")
    before = _open(root, "tar")
    assert before.sizes == [(root / "raw" / name).stat().st_size for name in before.names]
    shutil.rmtree(root / "raw" / "two")
    pack(root / "raw", root / "train.tar")
    assert class_changes(before.classes, _open(root, "tar"), before) == ["class 'two' is missing"]


def test_shards(root):
    write_shards(root / "train", "train-{}.tar")
    before = _open(root, "wds")
    assert len(before.names) == 24
    write_shards(root / "train", "train-{}.tar", (*CLASSES[1:], CLASSES[0]))
    assert "images have other sizes" in next(file_changes(before, _open(root, "wds")))
    before.sizes = _open(root, "wds").sizes
    before.labels = before.labels[::-1]
    assert "images have other labels, e.g. train-0.tar/" in list(file_changes(before, _open(root, "wds")))[-1]


def test_embedded_data():
    digits = open_split(DataOptions(source="digits"), "val", "classification").inventory()
    assert len(digits.names) == len(digits.labels) == 450
    scenes = [
        open_split(DataOptions(source="scenes", kwargs={"images": n}), "train", "detection").inventory() for n in (3, 4)
    ]
    assert list(file_changes(*scenes)) == ["its arguments changed"]


def test_annotations(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "train").mkdir()
    path = tmp_path / "annotations" / "instances_train.json"
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 4, "height": 4}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2], "area": 4, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    path.write_text(json.dumps(content))
    before = _open(tmp_path, "coco", "detection", val="train")
    assert before.sizes == [-1]
    content["annotations"][0]["bbox"][2] = 3
    path.write_text(json.dumps(content))
    (tmp_path / "train" / "a.png").write_bytes(b"123")
    assert list(file_changes(before, _open(tmp_path, "coco", "detection", val="train"))) == [
        "1 image has another size, e.g. a.png",
        "its annotations changed",
    ]
    content["categories"][0]["id"], content["categories"][1]["id"] = 2, 1
    path.write_text(json.dumps(content))
    (change,) = class_changes(before.classes, _open(tmp_path, "coco", "detection", val="train"), before)
    assert change == "the classes are in another order: label 0 was 'cat', is 'dog'"


def test_label_maps(root):
    """Those of a network may be numbered otherwise: its names and their order must be those of the data."""
    for kind in ("images", "annotations"):
        shutil.copytree(root / "train" / "two", root / kind / "train")
    (root / "classes.txt").write_text("sky\nsea\n")
    before = _open(root, "ade20k", "segmentation")
    (root / "annotations" / "train" / "two-3.png").write_bytes(b"")
    assert list(file_changes(before, _open(root, "ade20k", "segmentation"))) == [
        "1 image has another size, e.g. annotations/two-3.png"
    ]
    (root / "classes.txt").write_text("sea\nsky\n")
    with pytest.raises(UserError, match=r"its classes, sea, sky, .*, are not those of the network, sky, sea, "):
        open_split(DataOptions(source="ade20k", root=str(root)), "train", "segmentation", before.classes)


@pytest.mark.slow
def test_the_time_for_100_000_files(tmp_path):
    """Less than a fifth of the time that listing them takes."""
    for number in range(100):
        (tmp_path / "train" / str(number)).mkdir(parents=True)
        for image in range(1000):
            os.close(os.open(tmp_path / "train" / str(number) / f"{image}.png", os.O_CREAT))
    start = time.perf_counter()
    split = open_split(DataOptions(root=str(tmp_path)), "train", "classification")
    listed = time.perf_counter() - start
    inventory = split.inventory()
    taken = time.perf_counter() - start - listed
    print(f"listed in {listed:.2f} s, inventory in {taken:.2f} s")
    assert file_sizes([]) == []
    assert len(inventory.sizes) == 100_000
    assert taken < listed
