"""Annotated data with one file or list for all splits, and YOLO's lists of pictures."""

import json
import shutil

import pytest

from atmnet.data.sources import choose_source, open_split
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions
from tests.data.tiny_dense import SIZE, write_picture
from tests.data.tiny_formats import write_yolo

COUNT = 10
#: The rest of a data.yaml.
REST = "val: valid/images\nnames: [cat, dog, bird]\n"


def coco(names):
    height, width = SIZE
    return {
        "images": [{"id": i, "file_name": name, "width": width, "height": height} for i, name in enumerate(names, 1)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": [1, 1, 9, 9]} for i in range(1, len(names) + 1)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }


def write_undivided(root, path, folder, prefix=""):
    """Ten pictures in a folder, and a JSON file that names them with a prefix."""
    for number in range(COUNT):
        write_picture(root / folder / f"{number}x.png", seed=number)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(json.dumps(coco([f"{prefix}{number}x.png" for number in range(COUNT)])))
    return root


def names_of(options, part):
    split = open_split(options, part, "detection")
    return [split.name(index) for index in range(len(split))]


def parts(options):
    return names_of(options, "train"), names_of(options, "val")


@pytest.mark.parametrize(
    ("path", "folder", "prefix"),
    [
        ("annotations/instances_default.json", "images/default", ""),
        ("annotations/instances_default.json", "images", ""),
        ("result.json", "images", "images/"),
        ("_annotations.coco.json", "", ""),
        ("annotations/instances_train.json", "train", ""),
        ("train/_annotations.coco.json", "train", ""),
    ],
)
def test_one_file_of_coco_is_divided(tmp_path, path, folder, prefix):
    options, line = choose_source(DataOptions(root=str(write_undivided(tmp_path, path, folder, prefix))), "detection")
    assert line == f"data.source: coco, from {path} without splits, so that it is divided"
    train, val = parts(options)
    assert len(train) == 8
    assert len(val) == 2
    assert not set(train) & set(val)
    split = open_split(options, "val", "detection")
    assert split.own_part
    assert len(split.load(0, "RGB")[1].labels) == 1


def test_a_second_file_is_no_reason_to_divide(tmp_path):
    root = write_undivided(tmp_path, "annotations/instances_train.json", "train")
    shutil.copy(root / "annotations/instances_train.json", root / "annotations/instances_val2017.json")
    with pytest.raises(UserError, match=r"instances_val\.json: no such file"):
        open_split(DataOptions("coco", str(root)), "val", "detection")
    assert len(open_split(DataOptions("coco", str(root)), "train", "detection")) == COUNT


def test_a_named_split_is_not_divided(tmp_path):
    root = write_undivided(tmp_path, "annotations/instances_train.json", "train")
    assert len(open_split(DataOptions("coco", str(root), val="train"), "train", "detection")) == COUNT
    with pytest.raises(UserError, match=r"instances_test\.json: no such file"):
        open_split(DataOptions("coco", str(root), val="test"), "test", "detection")


def test_data_yaml_without_validation_is_divided(tmp_path):
    root = tmp_path
    (root / "train/labels").mkdir(parents=True)
    for number in range(COUNT):
        write_picture(root / "train/images" / f"{number}x.png", seed=number)
        (root / "train/labels" / f"{number}x.txt").write_text(f"{number % 2} .5 .5 .2 .2")
    (root / "data.yaml").write_text("train: train/images\nnames: [cat, dog, bird]\n")
    train, val = parts(DataOptions("yolo", str(root)))
    assert (len(train), len(val)) == (8, 2)
    assert not set(train) & set(val)
    with pytest.raises(UserError, match="test: got None, expected a folder or list"):
        open_split(DataOptions("yolo", str(root), val="test"), "test", "detection")


@pytest.mark.parametrize(
    "lines",
    [
        ["train/images/a 1.png", "train/images/c.png"],
        ["./images/a 1.png", "./images/c.png"],
        ["C:\\data\\set\\train\\images\\a 1.png", "/datasets/mine/train/images/c.png"],
    ],
    ids=["from data.yaml", "from the list", "of other machines"],
)
def test_lists_of_pictures(tmp_path, lines):
    root = write_yolo(tmp_path)
    (root / "train" / "list.txt").write_text("\ufeff" + "\r\n".join([*lines, ""]), encoding="utf-8")
    (root / "data.yaml").write_text(
        "path: /datasets/mine\ntrain: train/list.txt\nval: valid/images\nnames: [cat, dog, bird]"
    )
    split = open_split(DataOptions("yolo", str(root)), "train", "detection")
    assert [split.name(i) for i in range(len(split))] == ["train/images/a 1.png", "train/images/c.png"]
    assert [len(split.load(i, "RGB")[1].labels) for i in range(2)] == [2, 0]


def test_lists_of_folders(tmp_path):
    root = write_yolo(tmp_path)
    (root / "data.yaml").write_text(
        "train: [train/images, ../valid/images]\nval: valid/images\nnames: [cat, dog, bird]"
    )
    split = open_split(DataOptions("yolo", str(root)), "train", "detection")
    assert [split.name(i) for i in range(len(split))] == [
        f"{part}/images/{name}.png" for part in ("train", "valid") for name in ("a 1", "b", "c")
    ]
    assert sum(len(split.load(i, "RGB")[1].labels) for i in range(6)) == 6


@pytest.mark.parametrize("line", ["train/images/z.png", "../../etc/passwd.png", "x" * 5000])
def test_a_missing_picture_of_a_list_is_named(tmp_path, line):
    root = write_yolo(tmp_path)
    (root / "list.txt").write_text(line)
    (root / "data.yaml").write_text(f"train: list.txt\n{REST}")
    with pytest.raises(UserError, match="train: no folder or file"):
        open_split(DataOptions("yolo", str(root)), "train", "detection")
