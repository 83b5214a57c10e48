"""Folders of images: the training split says which classes there are, and everything odd is refused in one line."""

import shutil

import pytest
from PIL import Image

from atmnet.data import open_labelled
from atmnet.data.sources import open_split
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions
from tests.data.tiny import CLASSES


def _open(root, split="train", classes=None, **options):
    return open_labelled(DataOptions(root=str(root), **options), split, classes)


def test_classes_labels_and_names(digits_root):
    source = _open(digits_root)
    assert source.classes == list(CLASSES)
    assert len(source) == 24
    for index in range(24):
        image, label = source.load(index, "RGB")
        assert (image.mode, image.size) == ("RGB", (32, 32))
        assert source.name(index) == f"{CLASSES[label]}/{CLASSES[label]}-{index % 8}.png"


def test_numbers_are_sorted_as_numbers(tmp_path):
    for name in ("10", "9", "1"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "train" / name / "a.png")
    assert _open(tmp_path).classes == ["1", "9", "10"]


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".TIFF"])
def test_every_ending_is_found(digits_root, suffix):
    path = digits_root / "val" / "two" / f"another{suffix}"
    Image.new("L", (8, 8)).save(path)
    source = _open(digits_root, "val")
    index = [source.name(i) for i in range(len(source))].index(f"two/another{suffix}")
    assert source.load(index, "L")[0].size == (8, 8)


def test_validation_without_one_of_the_classes_keeps_the_labels(digits_root):
    shutil.rmtree(digits_root / "val" / "eight")
    source = _open(digits_root, "val", list(CLASSES))
    assert source.classes == list(CLASSES)
    assert {source.name(i).partition("/")[0]: source.load(i, "L")[1] for i in range(8)} == {"five": 1, "two": 2}


def test_validation_with_another_class(digits_root):
    (digits_root / "val" / "two").rename(digits_root / "val" / "tow")
    with pytest.raises(UserError, match=r"/val: 1 of its classes are not among .*: tow \(is 'tow' 'two'\?\)"):
        _open(digits_root, "val", list(CLASSES))


def _empty(root):
    for path in (root / "train").rglob("*.png"):
        path.unlink()


def _flat(root):
    shutil.copy(root / "val" / "two" / "two-0.png", root / "train")


def _only_flat(root):
    shutil.rmtree(root / "train")
    shutil.copytree(root / "val" / "two", root / "train")


def _no_split(root):
    (root / "train").rename(root / "training")


def _no_root(root):
    shutil.rmtree(root)


def _file(root):
    shutil.rmtree(root / "train")
    (root / "train").write_text("a file")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_empty, r"/train: no images found; expected one folder per class"),
        (_flat, r"/train: some images lie directly in it; expected one folder per class"),
        (_only_flat, r"/train: some images lie directly in it"),
        (_no_split, r"/train: no such folder; .* holds training, val"),
        (_no_root, r"^data.root: .*digits: no such folder"),
        (_file, r"/train: no images found"),
    ],
)
def test_refused(digits_root, spoil, message):
    spoil(digits_root)
    with pytest.raises(UserError, match=message) as caught:
        _open(digits_root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "data.root: expected the folder that holds the splits"),
        ({"source": "digits"}, "'digits' has the splits train and val, not 'test'"),
    ],
)
def test_refused_options(options, message):
    with pytest.raises(UserError, match=message):
        open_split(DataOptions(**options), "test", "classification")


def test_class_file_gives_order_and_missing_classes(digits_root, tmp_path):
    (tmp_path / "classes.txt").write_text("two\n\n eight \nseven\nfive\n")
    for split in ("train", "val"):
        options = DataOptions(root=str(digits_root), classes=str(tmp_path / "classes.txt"))
        source = open_labelled(options, split)
        assert source.classes == ["two", "eight", "seven", "five"]
        labels = {source.name(i).partition("/")[0]: source.load(i, "L")[1] for i in range(len(source))}
        assert labels == {"two": 0, "eight": 1, "five": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"two\neight\n", r"/train: 1 of its classes are not among the training classes: five"),
        (b"two\ntwo\neight\nfive\n", "expected one class name per line, each once; got 4 lines"),
        (b" \n", "expected one class name per line"),
        (b"\xff\xfe\x00", "classes.txt"),
        (None, "classes.txt: No such file"),
    ],
    ids=["a class too few", "twice", "empty", "not text", "missing"],
)
def test_class_file_refused(digits_root, tmp_path, content, message):
    path = tmp_path / "classes.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        open_labelled(DataOptions(root=str(digits_root), classes=str(path)), "train")
