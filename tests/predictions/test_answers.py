"""What is told of a picture."""

import json

import pytest
import torch

from atmnet.predictions import objects, ranking, regions
from tests.predictions.drawn import CLASSES, filled, found, grey

BOXES = [[10, 20, 40, 60], [5, 5, 15, 25], [0, 0, 80, 64]]


def test_ranking():
    image = grey(80, 64)
    answer = ranking(image, torch.tensor([0.1, 0.7, 0.2]).log(), CLASSES, 2)
    assert answer.text == " 70.0 % spoon   20.0 % plate"
    assert [one["class"] for one in answer.record["predictions"]] == ["spoon", "plate"]
    assert [one["probability"] for one in answer.record["predictions"]] == pytest.approx([0.7, 0.2])
    assert answer.captions == ["spoon", "70.0 %"]
    assert answer.draw(None) is image
    assert answer.size == (80, 64)
    assert len(ranking(image, torch.zeros(3), CLASSES, 9).record["predictions"]) == 3


def test_objects_from_the_threshold_on():
    answer = objects(grey(80, 64), found(BOXES, [2, 0, 2], [0.75, 0.5, 0.49]), CLASSES, 0.5)
    assert answer.text == "2 objects: 1 plate, 1 cup"
    assert answer.captions == ["2 objects"]
    assert answer.record == {
        "objects": [
            {"class": "plate", "score": 0.75, "box": [10, 20, 40, 60]},
            {"class": "cup", "score": 0.5, "box": [5, 5, 15, 25]},
        ]
    }
    assert answer.size == (80, 64)
    json.dumps(answer.record)


def test_what_is_drawn_is_what_is_told():
    image, masks = grey(80, 64), filled(BOXES, 80, 64)
    output = found(BOXES, [2, 0, 2], [0.75, 0.5, 0.49], masks)
    kept = found(BOXES[:2], [2, 0], [0.75, 0.5], masks[:2])
    assert (
        objects(image, output, CLASSES, 0.5).draw(None).tobytes()
        == objects(image, kept, CLASSES, 0).draw(None).tobytes()
    )
    assert (
        objects(image, output, CLASSES, 0.4).draw(None).tobytes()
        != objects(image, kept, CLASSES, 0).draw(None).tobytes()
    )


def test_no_object_and_one():
    none = objects(grey(80, 64), found([], [], []), CLASSES, 0.5)
    assert (none.text, none.record) == ("0 objects", {"objects": []})
    assert objects(grey(80, 64), found(BOXES[:1], [1]), CLASSES, 0.5).text == "1 object: 1 spoon"


def test_many_classes_of_objects_are_cut_short():
    classes = [f"class {k}" for k in range(10)]
    boxes = [BOXES[0]] * 11
    text = objects(grey(80, 64), found(boxes, [*range(10), 9]), classes, 0.5).text
    assert text.startswith("11 objects: 2 class 9, 1 class 0, ")
    assert text.count("class") == 6


def test_regions_the_largest_first():
    label_map = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 0]])
    answer = regions(grey(4, 2), label_map, CLASSES)
    assert answer.text == " 75.0 % spoon   25.0 % cup"
    assert answer.captions == ["spoon", "75.0 %"]
    assert answer.record == {"regions": [{"class": "spoon", "share": 0.75}, {"class": "cup", "share": 0.25}]}
    assert answer.size == (4, 2)
    json.dumps(answer.record)
    assert max(answer.draw(None).size) > 700


@pytest.mark.parametrize(
    "answer",
    [
        ranking(grey(80, 64), torch.zeros(3), CLASSES, 1),
        objects(grey(80, 64), found(BOXES, [2, 0, 2]), CLASSES, 0.5),
        regions(grey(80, 64), torch.zeros(64, 80, dtype=torch.long), CLASSES),
    ],
    ids=["classification", "detection", "segmentation"],
)
def test_a_program_draws_without_saying_a_size(answer):
    """As docs/python.md does."""
    assert answer.draw().tobytes() == answer.draw(None).tobytes()
    assert answer._repr_png_().startswith(b"\x89PNG")
