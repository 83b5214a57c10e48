"""Files of predictions."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from atmnet.predictions import Results, objects, regions
from atmnet.predictions.results import coco_results, label_map_image
from atmnet_cli.errors import UserError
from tests.predictions.drawn import CLASSES, filled, found, grey

IDS = [1, 44, 90]
BOXES = [[10, 20, 40, 60], [5, 5, 15, 25]]


def _add(results, path, output, size=(80, 64)):
    answer = objects(grey(*size), output, CLASSES, 0.5)
    results.add(path, output, answer)


def _read(path):
    with Image.open(path) as image:
        image.load()
        return image


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools, with numpy 2
def test_coco_tools_read_the_results(tmp_path, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    masks = filled(BOXES, 80, 64)
    results = Results(tmp_path / "out", CLASSES, IDS)
    _add(results, tmp_path / "a.png", found(BOXES, [0, 2], [0.9, 0.25], masks))
    _add(results, tmp_path / "b.png", found([], [], [], masks[:0]), (30, 50))
    results.close()
    truth = coco.COCO(str(tmp_path / "out" / "images.json"))
    read = truth.loadRes(str(tmp_path / "out" / "results.json"))
    assert sorted(os.listdir(tmp_path / "out")) == [
        "a.png", "b.png", "classes.txt", "images.json", "labels", "predictions.csv", "results.json",
    ]  # fmt: skip
    assert {k: v["name"] for k, v in truth.cats.items()} == {1: "cup", 44: "spoon", 90: "plate"}
    assert [(i["file_name"], i["width"], i["height"]) for i in truth.imgs.values()] == [
        (str(tmp_path / "a.png"), 80, 64), (str(tmp_path / "b.png"), 30, 50),
    ]  # fmt: skip
    kept = list(read.anns.values())
    assert [one["image_id"] for one in kept] == [1, 1]
    assert [one["category_id"] for one in kept] == [1, 90]
    assert [one["bbox"] for one in kept] == [[10, 20, 30, 40], [5, 5, 10, 20]]
    assert [one["score"] for one in kept] == pytest.approx([0.9, 0.25])  # those below the threshold, too
    for one, mask in zip(kept, masks, strict=True):
        assert (read.annToMask(one) == (mask[0] > 0.5).numpy()).all()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["000000000139.jpg", "000000000285.jpg"], [139, 285]),
        (["a.jpg", "000000000285.jpg"], [1, 2]),
        (["7.jpg", "007.png"], [1, 2]),
        (["²³.jpg", "5.jpg"], [1, 2]),
    ],
)
def test_image_ids(tmp_path, names, ids):
    results = Results(tmp_path / "out", CLASSES, IDS)
    for name in names:
        _add(results, tmp_path / name, found(BOXES[:1], [2]))
    results.close()
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(one["image_id"], one["category_id"]) for one in written] == [(number, 90) for number in ids]
    assert "segmentation" not in written[0]


def test_names_do_not_collide(tmp_path):
    """Pictures of one name, in any case, in two folders, and one that is named as a label map is."""
    label_map = torch.zeros(64, 80, dtype=torch.long)
    results = Results(tmp_path / "out", CLASSES, IDS)
    for path in ("1/x.png", "2/x.png", "3/x.jpg", "1/X.png", "1/x_labels.png", "1/x_2.png", "1/y.png"):
        results.add(tmp_path / path, label_map, regions(grey(80, 64), label_map, CLASSES))
    results.close()
    written = sorted(os.listdir(tmp_path / "out"))
    assert len(written) == len({name.casefold() for name in written}) == 15
    assert {"x.png", "x_labels.png", "x_2.png", "y.png", "y_labels.png"} <= set(written)


def test_a_picture_is_never_replaced(tmp_path):
    grey().save(tmp_path / "a.png")
    results = Results(tmp_path, CLASSES, IDS)
    with pytest.raises(UserError, match="this folder contains the images to predict; expected another one"):
        _add(results, tmp_path / "a.png", found(BOXES, [0, 1]))
    assert _read(tmp_path / "a.png").size == (800, 600)


def test_label_maps_are_read_back(tmp_path):
    label_map = torch.randint(0, 3, (64, 80))
    results = Results(tmp_path / "out", CLASSES, IDS)
    results.add(tmp_path / "a.jpg", label_map, regions(grey(80, 64), label_map, CLASSES))
    results.close()
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "a_labels.png", "predictions.csv"]
    read = _read(tmp_path / "out" / "a_labels.png")
    assert read.mode == "P"
    assert (np.asarray(read) == label_map.numpy()).all()
    assert _read(tmp_path / "out" / "a.png").mode == "RGB"


@pytest.mark.parametrize(("count", "mode"), [(1, "P"), (150, "P"), (255, "P"), (256, "I;16"), (1000, "I;16")])
def test_label_maps_of_many_classes(tmp_path, count, mode):
    label_map = torch.arange(count).repeat(2, 1)
    label_map_image(label_map, count).save(tmp_path / "a.png")
    read = _read(tmp_path / "a.png")
    assert read.mode == mode
    assert (np.asarray(read) == label_map.numpy()).all()


def test_colours_of_a_label_map_are_those_of_the_drawing():
    from atmnet.predictions.colours import class_colours

    image = label_map_image(torch.arange(150).view(1, -1), 150).convert("RGB")
    assert [image.getpixel((k, 0)) for k in range(150)] == class_colours(150)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    label_map = torch.zeros(64, 80, dtype=torch.long)
    answer = regions(grey(80, 64), label_map, CLASSES)
    Results(tmp_path / "out", CLASSES, IDS).add(tmp_path / "a.jpg", label_map, answer)
    before = (tmp_path / "out" / "a.png").read_bytes()

    def fail(self, path, *arguments):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="no space"):
        Results(tmp_path / "out", CLASSES, IDS).add(tmp_path / "a.jpg", label_map, answer)
    assert (tmp_path / "out" / "a.png").read_bytes() == before
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "a_labels.png"]


def test_a_missing_package_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "faster_coco_eval.core.mask", None)
    with pytest.raises(UserError, match=r"need the package faster_coco_eval.*: pip install 'faster-coco-eval>="):
        coco_results(found(BOXES, [0, 1], masks=filled(BOXES, 80, 64)), [1, 2])
    assert len(coco_results(found(BOXES, [0, 1]), [1, 2])) == 2
