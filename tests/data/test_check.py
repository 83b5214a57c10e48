"""`check-data` reads everything, counts every kind of problem, and names who has it."""

import shutil

import numpy as np
import pytest
from PIL import Image

from atmnet.data import check_split, same_images
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions


@pytest.fixture
def folder(digits_root):
    return digits_root / "train" / "two"


def _check(root, split="train", classes=None):
    return check_split(DataOptions(root=str(root)), split, classes)


def _noise(*shape):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


def test_nothing_wrong(digits_root):
    check = _check(digits_root)
    assert (dict(check.errors), dict(check.notes)) == ({}, {})
    assert check.sizes == [(32, 32)] * 24
    assert dict(check.labels) == {0: 8, 1: 8, 2: 8}
    assert len(check.pixels) == 24


def _rotated(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    _noise(16, 24).save(folder / "a.jpg", exif=exif)


def _animated(folder):
    _noise(16, 24).save(folder / "a.png", save_all=True, append_images=[_noise(16, 24).rotate(180)])


@pytest.mark.parametrize(
    ("add", "kind", "name"),
    [
        (lambda f: (f / "a.jpg").write_bytes(b"broken"), "unreadable", "two/a.jpg (not a picture"),
        (lambda f: (f / "a.jpg").write_bytes(b""), "unreadable", "two/a.jpg ("),
        (lambda f: _noise(9, 9, 4).save(f / "a.png"), "mode RGBA: converted", "two/a.png"),
        (lambda f: _noise(9, 9, 4).convert("CMYK").save(f / "a.jpg"), "mode CMYK: converted", "two/a.jpg"),
        (
            lambda f: Image.fromarray(np.arange(81, dtype=np.uint16).reshape(9, 9) * 800).save(f / "a.png"),
            "16-bit grey: scaled to 8 bits",
            "two/a.png",
        ),
        (_rotated, "rotated by EXIF: turned upright", "two/a.jpg"),
        (_animated, "animated: first frame used", "two/a.png"),
        (lambda f: _noise(7, 30).save(f / "a.png"), "under 8 pixels high or wide", "two/a.png (30, 7)"),
        (lambda f: Image.new("L", (9, 9), 3).save(f / "a.png"), "all pixels of one colour", "two/a.png"),
        (lambda f: (f / "notes.txt").touch(), "file without a picture's extension: ignored", "two/notes.txt"),
        (lambda f: (f.parent / "zero").mkdir(), "folder without pictures", "zero"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_each_problem_is_counted_and_named(digits_root, folder, add, kind, name):
    add(folder)
    check = _check(digits_root)
    problems = check.errors if kind == "unreadable" else check.notes
    assert list(problems) == [kind]
    assert len(problems[kind]) == 1
    assert problems[kind][0].startswith(name)
    assert not (check.notes if kind == "unreadable" else check.errors)


def test_truncated_animation(digits_root, folder):
    """Its first frame can be read, what follows cannot be counted."""
    _animated(folder)
    content = (folder / "a.png").read_bytes()
    for end in range(len(content) - 200, len(content), 7):
        (folder / "a.png").write_bytes(content[:end])
        check = _check(digits_root)
        assert sum(check.labels.values()) + len(check.errors["unreadable"]) == 25


def test_classes(digits_root):
    """A class with none, a class with hardly any, one class only."""
    for number in range(5):
        shutil.rmtree(digits_root / "val" / "five", ignore_errors=True)
        for path in list((digits_root / "train" / "two").glob("two-*.png")):
            shutil.copy(path, path.with_name(f"copy-{number}-{path.name}"))
    for path in sorted((digits_root / "train" / "eight").iterdir())[1:]:
        path.unlink()
    check = _check(digits_root)
    assert check.notes == {"class with less than 5% of the images of the largest class": ["eight"]}
    val = _check(digits_root, "val", check.source.classes)
    assert val.notes == {"class without images": ["five"]}
    for name in ("eight", "five"):
        shutil.rmtree(digits_root / "train" / name)
    assert _check(digits_root).errors == {"only one class": ["two"]}


def test_held_out_images_that_were_trained_on(digits_root, folder):
    """Found by their pixels: another name and file format do not hide them."""
    Image.open(folder / "two-3.png").save(digits_root / "val" / "two" / "other.bmp")
    train = _check(digits_root)
    val = _check(digits_root, "val", train.source.classes)
    assert same_images(train, val) == ["two/other.bmp"]


def test_missing(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        _check(tmp_path)
