"""Reading ADE20K's format: what it means, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from atmnet.data import UnreadableImage
from atmnet.data.ade20k import open_ade20k
from atmnet.data.targets import IGNORE
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions
from tests.data.tiny_dense import write_ade20k, write_picture


def opened(root, split="training", classes=None, **options):
    return open_ade20k(DataOptions(source="ade20k", root=str(root), **options), split, classes)


def relabel(root, labels, name="a0", **how):
    Image.fromarray(labels).save(root / "annotations" / "training" / f"{name}.png", **how)


def test_zero_is_ignored(tmp_path):
    source = opened(write_ade20k(tmp_path))
    assert (len(source), source.classes, source.name(1)) == (2, ["wall", "sky", "cat"], "a1.jpg")
    image, labels = source.load(0, "L")
    assert (image.mode, image.size, labels.shape, labels.dtype) == ("L", (30, 20), (20, 30), torch.uint8)
    assert labels[3].tolist() == [IGNORE] * 5 + [0] * 10 + [1] * 10 + [2] * 5


def test_zero_is_a_class(tmp_path):
    source = opened(write_ade20k(tmp_path, classes=("void", "wall", "sky", "cat")), ignore_zero=False)
    assert source.load(0, "RGB")[1][3].tolist() == [0] * 5 + [1] * 10 + [2] * 10 + [3] * 5


@pytest.mark.parametrize("ignore_zero", [False, True])
def test_255_is_ignored(tmp_path, ignore_zero):
    write_ade20k(tmp_path)
    relabel(tmp_path, np.full((20, 30), 255, np.uint8))
    assert (opened(tmp_path, ignore_zero=ignore_zero).load(0, "RGB")[1] == IGNORE).all()


@pytest.mark.parametrize("kind", ["palette", "16-bit", "1-bit"])
def test_kinds_of_label_maps(tmp_path, kind):
    write_ade20k(tmp_path)
    numbers = np.random.default_rng(0).integers(0, 2 if kind == "1-bit" else 4, (20, 30)).astype(np.uint8)
    if kind == "palette":
        picture = Image.fromarray(numbers).convert("P")
        picture.putpalette(bytes(range(255, -1, -1)) * 3)
    elif kind == "16-bit":
        picture = Image.fromarray(numbers.astype(np.uint16))
    else:
        picture = Image.fromarray(numbers.astype(bool))
    picture.save(tmp_path / "annotations" / "training" / "a0.png")
    labels = opened(tmp_path).load(0, "RGB")[1]
    assert labels.tolist() == np.where(numbers == 0, 255, numbers.astype(int) - 1).tolist()


def test_as_many_classes_as_a_label_map_holds(tmp_path):
    write_ade20k(tmp_path, classes=tuple(f"c{n}" for n in range(254)))
    relabel(tmp_path, np.full((20, 30), 254, np.uint8))
    assert (opened(tmp_path).load(0, "RGB")[1] == 253).all()
    with pytest.raises(UserError, match="got 300 classes, expected 1 to 254"):
        opened(write_ade20k(tmp_path, classes=tuple(f"c{n}" for n in range(300))))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((20, 30), 4, np.uint8), "has the label 4; the classes have the labels 1 to 3"),
        (np.full((20, 30), 60000, np.uint16), "has the label 60000; the classes have the labels 1 to 3"),
        (np.zeros((20, 31), np.uint8), "the picture has 30x20 pixels, but its label map has 31x20"),
        (np.zeros((20, 30, 3), np.uint8), "label map has the mode RGB; expected a grey or palette picture"),
    ],
)
def test_bad_label_maps_are_named(tmp_path, labels, message):
    write_ade20k(tmp_path)
    relabel(tmp_path, labels)
    with pytest.raises(UnreadableImage, match=message):
        opened(tmp_path).load(0, "RGB")


def test_damaged_files_are_named(tmp_path):
    source = opened(write_ade20k(tmp_path))
    path = tmp_path / "annotations" / "training" / "a0.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UnreadableImage, match="its label map: "):
        source.load(0, "RGB")
    (tmp_path / "images" / "training" / "a1.jpg").write_bytes(b"no picture")
    with pytest.raises(UnreadableImage, match="not a picture"):
        source.load(1, "RGB")


def test_class_names(tmp_path):
    write_ade20k(tmp_path)
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(UserError, match=r"expected the class names, one per line, in classes\.txt"):
        opened(tmp_path)
    (tmp_path / "objectInfo150.txt").write_text(
        "Idx\tRatio\tTrain\tVal\tName\n"
        "1\t0.15\t11664\t1172\twall\n2\t0.1\t6046\t612\tsky, heaven\n3\t0.1\t8\t7\tcat  \n"
    )
    assert opened(tmp_path).classes == ["wall", "sky, heaven", "cat"]
    names = tmp_path / "mine.txt"
    names.write_text("a\nb\nc\n")
    assert open_ade20k(DataOptions(root=str(tmp_path), classes=str(names)), "training").classes == ["a", "b", "c"]
    (tmp_path / "objectInfo150.txt").unlink()
    assert opened(tmp_path, classes=["x", "y", "z"]).classes == ["x", "y", "z"]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match=r"data\.root: expected the folder"):
        open_ade20k(DataOptions(source="ade20k"), "training")
    write_ade20k(tmp_path)
    with pytest.raises(UserError, match="validation: no such folder"):
        opened(tmp_path, "validation")
    write_picture(tmp_path / "images" / "training" / "b.webp")
    with pytest.raises(UserError, match=r"1 images have no label map in .*, the first b.webp"):
        opened(tmp_path)
    (tmp_path / "images" / "empty").mkdir()
    (tmp_path / "annotations" / "empty").mkdir()
    with pytest.raises(UserError, match="no images found"):
        opened(tmp_path, "empty")


def test_blank(tmp_path):
    image, labels = opened(write_ade20k(tmp_path)).blank("RGB")
    assert image.size == (32, 32)
    assert (labels == IGNORE).all()
