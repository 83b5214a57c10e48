"""YOLO's labels of predictions, read back by the reader of YOLO's annotations."""

import pytest
import torch
from PIL import Image

from atmnet.data.sources import open_split
from atmnet.predictions import Results, objects
from atmnet.predictions.yolo_labels import yolo_labels
from atmnet_cli.options import DataOptions
from tests.predictions.drawn import CLASSES, found, grey

BOXES = [[10.25, 20, 40, 60.5], [5, 5, 15, 25], [0, 0, 80, 64]]


def test_round_trip(tmp_path):
    """The first five columns are annotations; the sixth is the score. An image without objects has an empty file."""
    output, empty = found(BOXES, [0, 2, 1], [0.9, 0.75, 0.25]), found([], [])
    images = tmp_path / "images" / "val"
    images.mkdir(parents=True)
    results = Results(tmp_path / "out", CLASSES, [1, 2, 3])
    for name, each in (("a", output), ("b", empty)):
        Image.new("RGB", (80, 64)).save(images / f"{name}.png")
        results.add(images / f"{name}.png", each, objects(grey(80, 64), each, CLASSES, 0.5))
    results.close()
    assert (tmp_path / "out" / "labels" / "b.txt").read_text() == ""
    rows = [line.split() for line in (tmp_path / "out" / "labels" / "a.txt").read_text().splitlines()]
    assert [float(row[5]) for row in rows] == pytest.approx([0.9, 0.75])  # 0.25 is not shown
    labels = tmp_path / "labels" / "val"
    labels.mkdir(parents=True)
    (labels / "a.txt").write_text("".join(" ".join(row[:5]) + "\n" for row in rows))
    (tmp_path / "out" / "classes.txt").rename(tmp_path / "classes.txt")
    split = open_split(DataOptions(source="yolo", root=str(tmp_path)), "val", "detection")
    target = split.load(0, "RGB")[1]
    assert split.classes == CLASSES
    assert target.labels.tolist() == [0, 2]
    torch.testing.assert_close(target.boxes, torch.tensor(BOXES[:2]), atol=1e-4, rtol=0)


def test_the_minimum_score_counts_itself():
    output = found(BOXES[:2], [0, 1], [0.5, 0.49])
    assert len(yolo_labels(output, (80, 64), 0.5).splitlines()) == 1
    assert len(yolo_labels(output, (80, 64), 0).splitlines()) == 2
