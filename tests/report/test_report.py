"""The HTML report."""

import os
import re

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from atmnet.report import Example, write_report
from atmnet.report.page import _columns
from tests.report.reports import example, network, report, written


def test_one_file_that_loads_nothing(tmp_path):
    page = written(tmp_path)
    assert page.sections() == ["looks", "curve", "confusion", "mistakes"]
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "srcset", "data", "poster"):
            where = attributes.get(name, "#")
            assert where.startswith(("#", "data:image/")) or tag == "a", f"<{tag} {name}={where[:60]}>"
    style = "".join(data for tag, data in page.texts if tag == "style")
    assert "url(" not in style
    assert "@import" not in style
    script = "".join(data for tag, data in page.texts if tag == "script")
    assert not re.search(r"https?:|fetch\(|import\b|XMLHttpRequest", script)
    assert os.listdir(tmp_path) == ["report.html"]
    assert len(page.text) < 200_000


def test_names_are_text_and_not_html(tmp_path):
    evil = '<evil a="1">&amp;</script>'
    classes = [evil, "b & c", *"defghijk"[:8]]
    page = written(
        tmp_path,
        classes=classes,
        title=evil,
        facts={evil: evil},
        mistakes=[example(0, 1, evil)],
        examples=[example(0, 1, evil), example(1, 0, evil)],
    )
    assert not [tag for tag, _ in page.elements if tag == "evil"]
    assert "<evil" not in page.text
    assert page.text.count("</script>") == 2
    assert evil in [attributes["alt"] for tag, attributes in page.elements if tag == "img"]
    assert page.said().count(evil) >= 6


@pytest.mark.parametrize("k", [2, 10, 40])
def test_confusion_as_a_matrix(tmp_path, k):
    page = written(tmp_path, k=k)
    cells = [attributes for tag, attributes in page.elements if tag == "td" and "title" in attributes]
    assert len(cells) == k * k
    assert sum(attributes["class"].startswith("right") for attributes in cells) == k
    assert cells[1]["title"] == f"true class 0, predicted class 1: 1 of {9 + k}"
    recall = [data for tag, data in page.texts if tag == "td" and data.endswith("%") and "\u202f" in data]
    assert f"{100 * 10 / (9 + k):.0f}\u202f%" in recall


def test_confusion_of_many_classes_as_tables(tmp_path):
    confusion = torch.eye(200, dtype=torch.int64) * 10
    confusion[7, 9] = 5
    confusion[8, 8] = 0  # a class without images
    confusion[30, 31] = 40
    page = written(tmp_path, k=200, confusion=confusion)
    said = page.said()
    assert "class 30 taken for class 31" in said
    rows = said[said.index("The most frequent errors") :]
    assert rows.index("class 30") < rows.index("class 7")
    assert "class 7 class 9 33 %" in rows
    assert "class 8 " not in said[said.index("recognised least") :]


@pytest.mark.parametrize("count", range(2, 20))
@pytest.mark.parametrize("limit", [4, 6])
def test_no_fact_is_alone_in_a_row(count, limit):
    columns = _columns(count, limit)
    assert 1 < columns <= limit
    assert count % columns != 1 or columns == 2


def test_file_names_of_mistakes_are_shown(tmp_path):
    assert "b.png" in written(tmp_path, mistakes=[example(0, 1, "b.png")]).said()


def test_without_errors_or_mistakes(tmp_path):
    page = written(tmp_path, confusion=torch.eye(10, dtype=torch.int64) * 3, mistakes=[])
    assert "all 30 images were recognised" in page.said()
    assert "There was no error" in page.said()


def test_mistakes_unknown_while_there_were_some(tmp_path):
    assert "mistakes" not in written(tmp_path, mistakes=[]).sections()


def test_without_an_evaluation(tmp_path):
    page = written(tmp_path, confusion=torch.zeros(10, 10, dtype=torch.int64), mistakes=[], metrics=[], examples=[])
    assert page.sections() == []


@pytest.mark.parametrize(
    ("metrics", "curves"),
    [
        ([], 0),
        ([{"kind": "train", "epoch": 0.5, "loss": 1.0}], 1),
        ([{"kind": "evaluate", "epoch": 1.0, "top1": 100.0}], 1),
        ([{"kind": "evaluate", "epoch": 0.0, "top1": 0.0}], 1),
        ([{"kind": "train", "epoch": 1.0, "loss": float("nan")}, {"kind": "train", "step": 3}, {}], 0),
        ([{"kind": "train", "epoch": i / 100, "loss": 0.0} for i in range(5000)], 1),
        ([{"kind": "train", "epoch": 1, "loss": -3}, {"kind": "evaluate", "epoch": 2, "top1": 50, "top5": None}], 2),
    ],
)
def test_curves_of_any_log(tmp_path, metrics, curves):
    page = written(tmp_path, metrics=metrics, examples=[])
    drawn = [attributes["d"] for tag, attributes in page.elements if attributes.get("class") == "line"]
    assert len(drawn) == curves
    assert all(-1 <= float(number) <= 101 for d in drawn for number in re.findall(r"-?[\d.]+", d))
    assert all(d.count("L") < 400 for d in drawn)


def test_curve_is_told_in_words(tmp_path):
    said = written(tmp_path).said()
    assert "The training loss went from 2.00 to 0.05" in said
    assert "84.0 %, its best" in said


def test_a_model_that_is_no_atmnet(tmp_path):
    page = written(tmp_path, model=nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)).eval())
    assert page.sections() == ["curve", "confusion", "mistakes"]


def test_a_model_inside_another(tmp_path):
    assert "looks" in written(tmp_path, model=nn.Sequential(network()).eval()).sections()


def test_grey_input(tmp_path):
    page = written(
        tmp_path,
        model=timm.create_model("atmnet_nano", num_classes=10, in_chans=1).eval(),
        preprocess=lambda image: torch.rand(1, 32, 32),
        mean=(0.5,),
        std=(0.5,),
    )
    assert "looks" in page.sections()


def test_odd_images(tmp_path):
    images = [
        Image.new("L", (1, 1)),
        Image.new("RGBA", (300, 7), (1, 2, 3, 4)),
        Image.new("P", (9, 900)),
        Image.fromarray(np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000),
    ]
    odd = [Example(f"{i}", image, None, 0, 1.0) for i, image in enumerate(images)]
    page = written(tmp_path, mistakes=odd)
    assert sum(tag == "img" for tag, _ in page.elements) == 4


def test_photographs_stay_small(tmp_path):
    y, x = np.mgrid[:500, :700]
    noise = np.random.default_rng(0).integers(0, 60, (500, 700))
    pixels = np.stack([x % 256, y % 256, noise + (x + y) % 190], -1).astype(np.uint8)
    photo = Example("photo.jpg", Image.fromarray(pixels), 0, 1, 0.5)
    page = written(tmp_path, mistakes=[photo] * 24, examples=[])
    assert len(page.text) < 800_000


def test_an_older_report_survives_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("older")

    def fail(*_args):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="disk full"):
            write_report(report(), path)
    with pytest.raises(ZeroDivisionError):
        write_report(report(preprocess=lambda image: torch.zeros(1 // 0)), path)
    assert os.listdir(tmp_path) == ["report.html"]
    assert path.read_text() == "older"
    write_report(report(), path)
    assert path.read_text("utf-8").startswith("<!doctype html>")


def test_folders_are_made(tmp_path):
    write_report(report(examples=[]), tmp_path / "new" / "folder" / "report.html")
    assert (tmp_path / "new" / "folder" / "report.html").stat().st_size > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": nn.Linear(2, 2)}, "model: got one in training mode"),
        ({"confusion": torch.zeros(3, 4)}, r"confusion: got shape \(3, 4\), expected \(10, 10\)"),
        ({"std": (0.5,)}, "std: got 1 values, expected 3"),
        ({"mistakes": [example(0, 10, "b.png")]}, "mistakes: b.png has class 10, expected 0 to 9"),
        ({"examples": [example(-1, 0)]}, "examples: a.png has class -1"),
    ],
)
def test_errors_name_the_argument(changes, message):
    with pytest.raises(ValueError, match=message):
        report(**changes)


def test_mean_must_fit_the_channels(tmp_path):
    with pytest.raises(ValueError, match="mean: got 2 values, expected 1 or 3"):
        written(tmp_path, mean=(0.5, 0.5), std=(0.5, 0.5))
