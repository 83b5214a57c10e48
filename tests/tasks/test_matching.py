"""Objects that a detector found, missed or invented."""

import pytest
import torch

from atmnet.data.targets import DetectionTarget
from atmnet.tasks.matching import ObjectCounter, confusions, match
from atmnet.tasks.worst import Worst

BOX, SHIFTED, FAR = [10.0, 10, 30, 30], [14.0, 10, 34, 30], [60.0, 60, 80, 80]  # IoU of the first two is 2/3


def _target(boxes, labels, crowd=None):
    n = len(boxes)
    return DetectionTarget(
        torch.tensor(boxes).view(-1, 4), torch.tensor(labels, dtype=torch.int64), torch.zeros(n, 0, 0),
        torch.tensor(crowd or [False] * n, dtype=torch.bool), torch.ones(n), 1,
    )  # fmt: skip


def _output(boxes, labels, scores):
    return {
        "boxes": torch.tensor(boxes).view(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "scores": torch.tensor(scores),
    }


@pytest.mark.parametrize(
    ("boxes", "labels", "scores", "right", "invented", "missed"),
    [
        ([BOX], [0], [0.9], [True], [False], [False]),
        ([SHIFTED], [0], [0.5], [True], [False], [False]),
        ([SHIFTED], [0], [0.49], [False], [False], [True]),
        ([SHIFTED], [1], [0.9], [False], [True], [True]),
        ([FAR], [0], [0.9], [False], [True], [True]),
        # The detection of the higher score takes the object, and the other one is a duplicate.
        ([BOX, SHIFTED], [0, 0], [0.6, 0.7], [False, True], [True, False], [False]),
        ([], [], [], [], [], [True]),
    ],
)
def test_one_object(boxes, labels, scores, right, invented, missed):
    result = match(_output(boxes, labels, scores), _target([BOX], [0]))
    assert [part.tolist() for part in (result.right, result.invented, result.missed)] == [right, invented, missed]


def test_a_detection_takes_the_object_that_it_covers_best():
    result = match(_output([BOX], [0], [0.9]), _target([SHIFTED, BOX], [0, 0]))
    assert result.missed.tolist() == [True, False]


def test_detections_in_crowd_regions_are_not_invented_and_crowds_are_not_missed():
    target = _target([[0.0, 0, 100, 100]], [0], crowd=[True])
    result = match(_output([BOX, BOX], [0, 1], [0.9, 0.9]), target)
    assert result.invented.tolist() == [False, True], "another class is"
    assert result.missed.tolist() == [False]


def test_an_image_without_objects_and_boxes_without_area():
    result = match(_output([BOX, [5.0, 5, 5, 5]], [0, 0], [0.9, 0.8]), _target([], []))
    assert result.invented.tolist() == [True, True]
    assert len(result.missed) == 0


def test_counts_and_the_worst_images():
    counter = ObjectCounter(2, keep=2)
    target = _target([BOX, FAR], [0, 1])
    counter.add(0, _output([BOX, FAR], [0, 1], [0.9, 0.9]), target)
    counter.add(1, _output([BOX], [0], [0.9]), target)
    counter.add(2, _output([BOX, BOX], [1, 1], [0.9, 0.9]), target)
    counter.add(3, _output([BOX], [0], [0.9]), target)
    counts = counter.result()
    assert (counts.labelled, counts.missed, counts.invented) == ([4, 4], [1, 3], [0, 2])
    assert counts.worst == [2, 1]


def test_worst_keeps_no_more_than_it_should():
    worst = Worst(24)
    for index in range(5000):
        worst.add(index, index * 7 % 5000)
    assert len(worst._heap) == 24
    assert [index * 7 % 5000 for index in worst.indices()] == list(range(4999, 4975, -1))
    unused = Worst(0)
    unused.add(1, 2.0)
    assert unused.indices() == []


OTHER = 2  # stands for no object


@pytest.mark.parametrize(
    ("boxes", "labels", "scores", "pairs"),
    [
        ([BOX], [0], [0.5], [(0, 0), (1, OTHER)]),
        ([BOX], [0], [0.49], [(0, OTHER), (1, OTHER)]),  # below the threshold: as if it were not there
        ([BOX, FAR], [1, 1], [0.9, 0.9], [(0, 1), (1, 1)]),
        ([FAR], [0], [0.9], [(0, OTHER), (1, 0)]),
        ([[100.0, 0, 120, 20]], [1], [0.9], [(0, OTHER), (1, OTHER), (OTHER, 1)]),
        # A detection of the right class takes the object, whatever the scores; the other one has none left.
        ([SHIFTED, BOX], [0, 1], [0.6, 0.9], [(0, 0), (1, OTHER), (OTHER, 1)]),
        ([SHIFTED, BOX], [1, 1], [0.6, 0.9], [(0, 1), (1, OTHER), (OTHER, 1)]),
        ([[10.0, 10, 30, 20]], [1], [0.9], [(0, 1), (1, OTHER)]),  # an IoU of exactly a half
    ],
)
def test_pairs_of_true_and_predicted_classes(boxes, labels, scores, pairs):
    output, target = _output(boxes, labels, scores), _target([BOX, FAR], [0, 1])
    result = confusions(output, target, match(output, target), OTHER)
    assert sorted(map(tuple, result.tolist())) == pairs


def test_crowd_regions_are_in_no_pair():
    output, target = _output([BOX], [0], [0.9]), _target([[0.0, 0, 100, 100]], [0], crowd=[True])
    assert confusions(output, target, match(output, target), OTHER).shape == (0, 2)


def test_the_matrix_agrees_with_the_counts():
    generator = torch.Generator().manual_seed(0)
    counter = ObjectCounter(3, keep=1)
    for index in range(40):
        corners = 20 * torch.rand(12, 2, generator=generator)
        boxes = torch.cat([corners, corners + 5 + 10 * torch.rand(12, 2, generator=generator)], 1).tolist()
        labels = torch.randint(3, (12,), generator=generator).tolist()
        scores = torch.rand(12, generator=generator).tolist()
        output = _output([[x + 1 for x in box] for box in boxes[:8]], labels[:8], scores[:8])
        counter.add(index, output, _target(boxes[4:], labels[3:11]))
    counts = counter.result()
    matrix = counts.confusion.to_dense()
    assert matrix[:3].sum(1).tolist() == counts.labelled  # each object is in its row once
    assert (matrix.diagonal()[:3] + torch.tensor(counts.missed)).tolist() == counts.labelled
    assert (matrix[:, :3].sum(0) - matrix.diagonal()[:3]).tolist() == counts.invented
    assert matrix[3, 3] == 0
    assert matrix[:3, :3].sum() > matrix.diagonal().sum()  # there are confusions
