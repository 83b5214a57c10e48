"""Data that cannot be used: one line says which, and nothing was written."""

import re
import shutil

import pytest

from tests.data.tiny import png_header


def _missing(root):
    shutil.rmtree(root)


def _empty(root):
    shutil.rmtree(root)
    root.mkdir()


def _no_images(root):
    for path in root.rglob("*.png"):
        path.unlink()


def _one_class(root):
    for path in [*root.glob("*/five"), *root.glob("*/two")]:
        shutil.rmtree(path)


def _other_class(root):
    (root / "val" / "two").rename(root / "val" / "too")


def _flat(root):
    shutil.copy(root / "val" / "two" / "two-0.png", root / "train" / "two-0.png")


REFUSED = [
    (_missing, r"data.root: .*digits: no such folder"),
    (_empty, r"train: no such folder; .*digits holds nothing"),
    (_no_images, r"train: no images found; expected one folder per class"),
    (_other_class, r"val: 1 of its classes are not among the training classes: too \(is 'too' 'two'\?\)"),
    (_flat, r"train: some images lie directly in it"),
]


@pytest.mark.parametrize(("spoil", "told"), [*REFUSED, (_one_class, r"only one class found in 8 images")])
def test_train(atmnet, quick, root, tmp_path, spoil, told):
    spoil(root)
    assert re.search(told, atmnet(*quick).error)
    assert not [path for path in (tmp_path / "run").rglob("*") if path.name != ".lock"]


@pytest.mark.parametrize(("spoil", "told"), REFUSED)
def test_check_data(atmnet, root, spoil, told):
    spoil(root)
    result = atmnet("check-data", "--data.root", root)
    assert re.search(told, result.last_error)


def test_all_images_broken(atmnet, quick, root, tmp_path):
    for path in root.rglob("*.png"):
        path.write_bytes(b"broken")
    result = atmnet(*quick)
    assert "training images are unreadable, more than 5 %" in result.last_error
    assert all(line.startswith("skipped an unreadable image: ") for line in result.err.splitlines()[:-1])


@pytest.mark.parametrize("content", [b"", b"broken", png_header(30_000, 30_000)], ids=["empty", "text", "bomb"])
def test_unreadable_image_in_evaluation(atmnet, quick, root, run, content):
    (root / "val" / "five" / "five-2.png").write_bytes(content)
    told = "unreadable image in evaluation: five/five-2.png ("
    assert atmnet(*quick).last_error.startswith(told)
    assert atmnet("evaluate", run, "--data.root", root, "--data.workers=0").error.startswith(told)


def test_evaluate_on_other_classes(atmnet, root, run):
    (root / "val" / "two").rename(root / "val" / "seven")
    assert "not among the training classes: seven" in atmnet("evaluate", run, "--data.root", root).error


def test_evaluate_when_the_data_is_gone(atmnet, quick, root, tmp_path):
    assert atmnet(*quick).status == 0
    shutil.rmtree(root)
    assert "data.root: " in atmnet("evaluate", tmp_path / "run").error
