"""Labels of whole images between folders and tables, and from every source that has them."""

import pytest

from atmnet.conversion import convert
from atmnet.data.sources import open_split
from atmnet_cli.errors import UserError
from atmnet_cli.options import ConvertOptions, DataOptions
from tests.data.tiny import write_digits
from tests.data.tiny_dense import write_picture
from tests.data.tiny_tables import COUNT, labels_of, write_labels


def to(target, output, data):
    return convert(ConvertOptions(to=target, output=str(output), data=data))


def contents(root, source, split="train", kind="classification"):
    """The pixels and the class of each picture, in any order."""
    part = open_split(DataOptions(source, str(root)), split, kind)
    return sorted(
        (part.classes[label], image.tobytes()) for image, label in (part.load(i, "RGB") for i in range(len(part)))
    )


def test_folder_to_table_and_back(tmp_path):
    write_digits(tmp_path / "in")
    to("table", tmp_path / "table", DataOptions("folder", str(tmp_path / "in")))
    to("folder", tmp_path / "back", DataOptions(root=str(tmp_path / "table")))
    for split in ("train", "val"):
        expected = contents(tmp_path / "in", "folder", split)
        assert expected
        assert contents(tmp_path / "table", "table", split) == expected
        assert contents(tmp_path / "back", "folder", split) == expected


def test_sets_of_labels_stay_sets(tmp_path):
    write_labels(tmp_path / "in")
    to("table", tmp_path / "out", DataOptions("table", str(tmp_path / "in")))
    labels = {}
    for split in ("train", "val"):
        part = open_split(DataOptions("table", str(tmp_path / "out")), split, "multilabel")
        for index in range(len(part)):
            labels[part.name(index).rpartition("/")[2]] = [part.classes[k] for k in part.labels_of(index)]
    assert labels == {f"p{n}.png": labels_of(n) for n in range(COUNT)}
    with pytest.raises(UserError, match="do not have exactly one label"):
        to("folder", tmp_path / "folder", DataOptions("table", str(tmp_path / "in")))
    assert not (tmp_path / "folder").exists()


def test_generated_pictures_become_files(tmp_path):
    data = DataOptions("pathfinder", kwargs={"img_size": 24, "images": [6, 4]})
    assert to("folder", tmp_path / "out", data)[0] == "train: 6 images of 2 classes"
    part = open_split(data, "train", "classification")
    expected = sorted(
        (part.classes[label], image.tobytes()) for image, label in (part.load(i, "RGB") for i in range(6))
    )
    assert contents(tmp_path / "out", "folder") == expected


def test_embedded_digits_become_files(tmp_path):
    to("folder", tmp_path / "out", DataOptions("digits"))
    assert len(contents(tmp_path / "out", "folder", "val")) == 450


def test_equal_names_in_several_folders(tmp_path):
    """The table's pictures of one class come into one folder; none replaces another."""
    lines = ["file,label,split"]
    for number, name in enumerate(("a/x.png", "b/x.png", "c/X.png", "d/x.png")):
        write_picture(tmp_path / "in" / name, (8, 8), seed=number)
        lines.append(f"{name},cat,{'val' if number == 3 else 'train'}")
    (tmp_path / "in" / "labels.csv").write_text("\n".join(lines))
    to("folder", tmp_path / "out", DataOptions("table", str(tmp_path / "in")))
    assert len(contents(tmp_path / "out", "folder")) == 3
    assert contents(tmp_path / "out", "folder") == contents(tmp_path / "in", "table")


@pytest.mark.parametrize(("target", "name"), [("folder", "a/b"), ("table", "a|b"), ("folder", "..")])
def test_classes_that_a_format_cannot_name(tmp_path, target, name):
    for split in ("train", "val"):
        write_picture(tmp_path / "in" / f"{split}.png", (8, 8))
    (tmp_path / "in" / "labels.csv").write_text(f"file,label,split\ntrain.png,{name},train\nval.png,{name},val\n")
    data = DataOptions("table", str(tmp_path / "in"), label_separator="#")
    with pytest.raises(UserError, match=r"to: class .*rename it"):
        to(target, tmp_path / "out", data)


def test_kinds_that_do_not_fit(tmp_path):
    write_digits(tmp_path / "in")
    with pytest.raises(UserError, match="coco is for boxes and masks, and folder has labels"):
        to("coco", tmp_path / "out", DataOptions("folder", str(tmp_path / "in")))
    with pytest.raises(UserError, match=r"data\.workers: convert"):
        to("table", tmp_path / "out", DataOptions("folder", str(tmp_path / "in"), workers=2))
