"""Pictures without splits are divided by class and group, in the same way each time."""

import json
import shutil

import pytest

from atmnet.data.sources import choose_source, open_split
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions
from tests.data.tiny_dense import write_picture


def write_classes(root, count=10, names=("cat", "dog")):
    for label, name in enumerate(names):
        for number in range(count):
            write_picture(root / name / f"{number}.png", (8, 8), seed=100 * label + number)
    return root


def names_of(options):
    parts = []
    for part in ("train", "val"):
        split = open_split(options, part, "classification")
        parts.append([split.name(index) for index in range(len(split))])
    return parts


def test_each_class_is_divided_in_the_same_way_each_time(tmp_path):
    options, line = choose_source(DataOptions(root=str(write_classes(tmp_path))))
    assert line == "data.source: folder, 2 class folders without splits, so that it is divided"
    train, val = names_of(options)
    assert len(train) == 16
    assert sorted(name[:3] for name in val) == ["cat", "cat", "dog", "dog"]
    assert not set(train) & set(val)
    assert names_of(options) == [train, val]
    assert names_of(DataOptions(root=str(tmp_path), split_seed=1)) != [train, val]
    assert len(names_of(DataOptions(root=str(tmp_path), val_share=0.5))[1]) == 10


def test_copies_and_frames_stay_together(tmp_path):
    write_classes(tmp_path, names=("cat",))
    for walk in range(6):
        for frame in range(4):
            write_picture(tmp_path / "dog" / f"walk{walk}_{frame:04}.png", (8, 8), seed=50 + 4 * walk + frame)
    for number in range(10):
        shutil.copy(tmp_path / "cat" / f"{number}.png", tmp_path / "cat" / f"copy of {number}.png")
    train, val = names_of(DataOptions(root=str(tmp_path)))
    assert val
    assert not {name.partition("_")[0] for name in train if "walk" in name} & {name.partition("_")[0] for name in val}
    originals = [{name.replace("copy of ", "") for name in part if "cat" in name} for part in (train, val)]
    assert originals[1]
    assert not originals[0] & originals[1]


def test_a_file_of_the_division_is_followed(tmp_path):
    root = write_classes(tmp_path / "data")
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": ["cat/1.png", "dog/1.png"], "val": ["dog/2.png"]}))
    options = DataOptions(root=str(root), split_file=str(path))
    assert names_of(options) == [["cat/1.png", "dog/1.png"], ["dog/2.png"]]
    path.write_text(json.dumps({"train": ["x.png"], "val": []}))
    with pytest.raises(UserError, match="lists none of the images"):
        names_of(options)


def test_a_class_of_one_picture_is_refused(tmp_path):
    write_picture(write_classes(tmp_path) / "bird" / "1.png")
    with pytest.raises(UserError, match="class 'bird' has only one image"):
        names_of(DataOptions(root=str(tmp_path)))
    with pytest.raises(UserError, match="val_share: got 1"):
        names_of(DataOptions(root=str(tmp_path), val_share=1.0))
