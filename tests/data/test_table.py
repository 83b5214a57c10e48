"""Tables of labels, as common tools write them: pictures with one label or several."""

import contextlib
import random

import pytest
import torch

from atmnet.data import UnreadableImage
from atmnet.data.check import SplitCheck
from atmnet.data.sources import choose_source, find_source, open_split
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions
from tests.data.tiny_dense import write_picture
from tests.data.tiny_tables import (
    CLASSES,
    COUNT,
    TABLES,
    labels_of,
    write_labels,
    write_parts,
    write_pictures,
    write_table,
)


def numbers(split):
    return [int("".join(filter(str.isdigit, split.name(index)))) for index in range(len(split))]


@pytest.mark.parametrize("layout", TABLES)
def test_a_layout_is_recognised_and_read(layout, tmp_path):
    write, expected = TABLES[layout]
    options, line = choose_source(DataOptions(root=str(write(tmp_path))))
    assert line == f"data.source: table, from {expected}"
    train = open_split(options, "train", "multilabel")
    val = open_split(options, "val", "multilabel", train.classes)
    assert train.classes == val.classes == CLASSES
    for split in (train, val):
        for index, number in enumerate(numbers(split)):
            image, target = split.load(index, "RGB")
            assert image.size == (8, 8)
            assert target.tolist() == [float(name in labels_of(number)) for name in CLASSES]
    shared = "all images" in expected
    assert sorted(set(numbers(train)) | set(numbers(val))) == list(range(COUNT))
    assert bool(set(numbers(train)) & set(numbers(val))) != shared
    assert len(val) >= 4
    assert train.own_part == (layout in ("labels", "competition"))
    assert train.notices == (["labels.csv: columns that are not used: Width"] if layout == "splits" else [])


def test_one_label_for_each_picture(tmp_path):
    write_table(tmp_path / "train.csv", ["path,class", *(f"{n}.png,{'ab'[n % 2]}" for n in range(6))])
    write_table(tmp_path / "val.csv", ["path,class", "../train/5.png,b"])
    for number in range(6):
        write_picture(tmp_path / "train" / f"{number}.png", seed=number)
    options = DataOptions(root=str(tmp_path), source="table")
    train = open_split(options, "train", "classification")
    assert [train.load(index, "L")[1] for index in range(6)] == [0, 1, 0, 1, 0, 1]
    assert train.inventory().labels == [0, 1, 0, 1, 0, 1]
    (tmp_path / "val").mkdir()
    assert open_split(options, "val", "classification", train.classes).load(0, "RGB")[1] == 1


def test_sets_are_refused_for_one_label(tmp_path):
    options = DataOptions(root=str(write_labels(tmp_path)), source="table")
    with pytest.raises(
        UserError, match=r"\d+ of \d+ images do not have exactly one label, e.g. 'images/p1.png' with 0; pass --model"
    ):
        open_split(options, "train", "classification")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,label", "a.png"], r"line 2: got 1 cells, expected 2"),
        (["file,label", "a.png,x,y"], r"line 2: got 3 cells, expected 2"),
        (["picture,label", "a.png,x"], r"no column of images; expected one called file or file_name"),
        (["file", "a.png"], r"no column of labels"),
        (["file,cat,cat", "a.png,1,0"], r"two of its columns have the same name, 'cat'"),
        (["file,cat", "a.png,-1"], r"line 2: column 'cat': got '-1', expected 0 or 1"),
        (["filename,class,xmin,ymin,xmax,ymax", "a.png,x,1,2,3,4"], r"a table of boxes"),
        (["file,label"], r"no images in it"),
        ([], r"names no column of images"),
        (["file,label", ",x"], r"line 2: got '', expected the name of an image"),
        (["file,label", "a\0.png,x"], r"expected the name of an image|not a table in CSV"),
        (["file,label", '"a.png,x'], r"not a table in CSV"),
        (["file,label", "a.png," + "x" * 200_000], r"not a table in CSV: field larger"),
        (["file,label,split", "a.png,x,train", "a.png,y,val"], r"line 3: 'a.png' is in two splits"),
        (["file,label,split", "a.png,x,test"], r"no image is in split 'train'; its splits are 'test'"),
        (["file,label", "b.png,x"], r"none of its first 1 images exists, such as 'b.png'; expected paths relative"),
        (["file,label", "a.png,"], r"no image has a label"),
    ],
)
def test_a_damaged_table_is_refused(lines, message, tmp_path):
    write_picture(tmp_path / "a.png")
    write_table(tmp_path / "labels.csv", lines)
    with pytest.raises(UserError, match=message) as refused:
        open_split(DataOptions(root=str(tmp_path), source="table"), "train", "multilabel")
    assert "\n" not in str(refused.value)


def test_other_refusals(tmp_path):
    options = DataOptions(root=str(tmp_path), source="table")
    with pytest.raises(UserError, match=r"no table of split 'train'; expected one of train.csv, "):
        open_split(options, "train", "multilabel")
    write_labels(tmp_path / "undivided")
    undivided = DataOptions(root=str(tmp_path / "undivided"), source="table", val="test")
    with pytest.raises(UserError, match=r"it has no column of splits, so that it has no 'test'"):
        open_split(undivided, "test", "multilabel")
    (tmp_path / "labels.csv").write_bytes(b"file,label\na.png,\xff\xfe\n")
    with pytest.raises(UserError, match=r"labels.csv: not a text file in UTF-8"):
        open_split(options, "train", "multilabel")
    write_parts(tmp_path)
    with pytest.raises(UserError, match=r"1 of its classes are not among the training classes: dog \(is 'dog' 'dogs'"):
        open_split(options, "val", "multilabel", ["cat", "dogs"])
    with pytest.raises(UserError, match=r"label_separator: got ''"):
        open_split(DataOptions(root=str(tmp_path), source="table", label_separator=""), "train", "multilabel")


def test_another_separator(tmp_path):
    """fastai's and Kaggle's tables separate labels by spaces."""
    write_picture(tmp_path / "a.png")
    write_table(tmp_path / "train.csv", ["fname,tags", "a.png,haze  primary"])
    write_table(tmp_path / "val.csv", ["fname,tags", "a.png,primary"])
    options = DataOptions(root=str(tmp_path), source="table", label_separator=" ")
    assert open_split(options, "train", "multilabel").classes == ["haze", "primary"]


def test_folders_of_splits_in_the_names(tmp_path):
    for name in ("train/a.png", "valid/b.png", "test/c.png"):
        write_picture(tmp_path / name)
    write_table(tmp_path / "labels.csv", ["file,label", "train/a.png,x", "valid/b.png,x", "test/c.png,x"])
    options = DataOptions(root=str(tmp_path), source="table")
    for split, name in (("train", "train/a.png"), ("val", "valid/b.png"), ("test", "test/c.png")):
        assert open_split(options, split, "multilabel").names == [name]


def test_whatever_the_bytes_they_are_read_or_refused_in_one_line(tmp_path):
    options = DataOptions(root=str(write_parts(tmp_path)), source="table")
    content = (tmp_path / "labels.csv").read_bytes()
    chance, pieces = random.Random(0), [b'"', b"\0", b"\n", b";", b"\xff", b"/", b"1"]
    refused = []
    for _ in range(200):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(damaged))
            damaged[place : place + chance.randint(0, 3)] = chance.choice(pieces)
        (tmp_path / "labels.csv").write_bytes(damaged)
        try:
            split = open_split(options, "train", "multilabel")
        except UserError as error:
            refused.append(str(error))
        else:
            for index in range(len(split)):
                with contextlib.suppress(UnreadableImage):
                    split.load(index, "RGB")
    assert 20 < len(refused) < 190
    assert not any("\n" in message for message in refused)


def test_a_missing_picture_is_unreadable_and_changed_labels_are_seen(tmp_path):
    options = DataOptions(root=str(write_parts(tmp_path)), source="table")
    train = open_split(options, "train", "multilabel")
    before = train.inventory()
    (tmp_path / "p1.png").unlink()
    with pytest.raises(UnreadableImage):
        train.load(0, "RGB")
    assert torch.equal(train.blank("RGB")[1], torch.zeros(2))
    text = (tmp_path / "labels.csv").read_text()
    (tmp_path / "labels.csv").write_text(text.replace("p2.png;Train;cat", "p2.png;Train;dog"))
    after = open_split(options, "train", "multilabel").inventory()
    assert (before.facts != after.facts, after.sizes[0]) == (True, -1)


def test_check_counts_labels(tmp_path):
    options = DataOptions(root=str(write_parts(tmp_path)), source="table")
    (tmp_path / "p1.png").write_bytes(b"")
    source = find_source(options)
    assert source.check is not None
    check: SplitCheck = source.check(options, "train", None)
    assert check.labels == {0: 8, 1: 8}
    assert len(check.notes["several labels: for --model.head multilabel only"]) == 4
    assert len(check.notes["no label: for --model.head multilabel only"]) == 3
    assert [name.split()[0] for name in check.errors["unreadable"]] == ["p1.png"]


@pytest.mark.parametrize("name", ["/etc/p0.png", "../p0.png", "a/../../p0.png"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    write_pictures(tmp_path)
    write_table(tmp_path / "labels.csv", ["file,label", "p1.png,cat", f"{name},cat"])
    with pytest.raises(UserError, match=r"leads out of .*; data\.root must contain"):
        open_split(DataOptions("table", str(tmp_path)), "train", "multilabel")


def test_absolute_paths_within_the_folder(tmp_path):
    write_pictures(tmp_path)
    write_table(tmp_path / "train.csv", ["file,label,split", *(f"{tmp_path}/p{n}.png,cat,train" for n in range(3))])
    split = open_split(DataOptions("table", str(tmp_path)), "train", "classification")
    assert all(split.load(index, "RGB")[0].size == (8, 8) for index in range(3))
