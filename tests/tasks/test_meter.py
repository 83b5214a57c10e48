"""The meter against a count by hand."""

import numpy as np
import pytest
import torch

from atmnet.tasks import ClassificationMeter
from tests.processes import start

CPU = torch.device("cpu")


def _scores(images, classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, classes, generator=generator)
    targets = torch.randint(classes, (images,), generator=generator)
    return logits, targets


def _meter(logits, targets, batch=7, first=0, stride=1, keep=0):
    meter = ClassificationMeter(logits.shape[1], CPU, keep_mistakes=keep)
    for at in range(0, len(logits), batch):
        meter.update(logits[at : at + batch], targets[at : at + batch], first + at * stride, stride)
    return meter.result()


def _by_hand(logits, targets):
    logits, targets = logits.double().numpy(), targets.numpy()
    classes = logits.shape[1]
    confusion = np.zeros((classes, classes), int)
    top1 = top5 = loss = 0.0
    for row, target in zip(logits, targets, strict=True):
        ranked = sorted(range(classes), key=lambda k: -row[k])
        confusion[target, ranked[0]] += 1
        top1 += ranked[0] == target
        top5 += target in ranked[:5]
        loss += np.log(np.exp(row).sum()) - row[target]
    return loss / len(targets), 100 * top1 / len(targets), 100 * top5 / len(targets), confusion


@pytest.mark.parametrize("classes", [2, 3, 5, 6, 20])
@pytest.mark.parametrize("batch", [1, 7, 100])
def test_by_hand(classes, batch):
    logits, targets = _scores(50, classes)
    result = _meter(logits, targets, batch)
    loss, top1, top5, confusion = _by_hand(logits, targets)
    assert result.loss == pytest.approx(loss, rel=1e-6)
    assert (result.top1, result.top5, result.images) == (top1, top5 if classes > 5 else None, 50)
    assert result.confusion.to_dense().tolist() == confusion.tolist()
    assert result.mistakes == []
    assert ("top5" in result.metrics) == ("top-5" in result.text) == (classes > 5)


def test_a_class_that_never_occurs_and_one_never_predicted():
    logits = torch.tensor([[9.0, 0, 0], [9, 0, 0], [0, 9, 0]])
    result = _meter(logits, torch.tensor([0, 2, 2]))
    assert result.confusion.to_dense().tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 0]]


@pytest.mark.parametrize(("first", "stride"), [(0, 1), (1, 3)])
@pytest.mark.parametrize("keep", [1, 4, 100])
def test_most_confident_mistakes_first(first, stride, keep):
    """Numbered as in the data set, of which a process sees every ``stride``-th image."""
    logits, targets = _scores(30, 4)
    mistakes = _meter(logits, targets, first=first, stride=stride, keep=keep).mistakes
    confidence, predicted = logits.softmax(1).max(1)
    expected = sorted(
        (-float(confidence[i]), first + i * stride, int(targets[i]), int(predicted[i])) for i in range(30)
         if predicted[i] != targets[i]
    )  # fmt: skip
    assert len(expected) > 10
    assert [(m.index, m.target, m.predicted) for m in mistakes] == [entry[1:] for entry in expected[:keep]]
    assert [m.confidence for m in mistakes] == pytest.approx([-entry[0] for entry in expected[:keep]])


@pytest.mark.parametrize("classes", [1025, 5000])
def test_many_classes_are_counted_as_few_are(classes, monkeypatch):
    """Only pairs that occur are kept, whether they are added up in one go or many times."""
    logits, targets = _scores(300, classes)
    targets[::2] = targets[0]  # pairs that occur more than once
    logits[::4] = logits[0]
    expected = torch.zeros(classes, classes, dtype=torch.int64)
    for pair in zip(targets.tolist(), logits.argmax(1).tolist(), strict=True):
        expected[pair] += 1
    assert expected.max() > 50
    assert _meter(logits, targets).confusion.to_dense().equal(expected)
    monkeypatch.setattr("atmnet.tasks.confusion._PENDING", 20)
    assert _meter(logits, targets).confusion.to_dense().equal(expected)


def test_21841_classes_take_no_memory():
    """A matrix of all pairs would have 3.8 GB, and a batch would be added to all of it."""
    classes = 21_841
    meter = ClassificationMeter(classes, CPU)
    logits, targets = _scores(8, classes)
    meter.update(logits, targets, 0)
    confusion = meter.result().confusion
    assert confusion.shape == (classes, classes)
    assert confusion.values().tolist() == [1] * 8
    assert sorted(zip(*confusion.indices().tolist(), strict=True)) == sorted(
        zip(targets.tolist(), logits.argmax(1).tolist(), strict=True)
    )


def _share(rank, store, expected, classes):
    """The work of one of two processes: every second image; ends with 0 if the result is that of all of them."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    logits, targets = _scores(31, classes)
    result = _meter(logits[rank::2], targets[rank::2], first=rank, stride=2, keep=5)
    torch.distributed.destroy_process_group()
    assert result.loss == pytest.approx(expected.loss)
    assert result[1:4] == expected[1:4]
    assert result.confusion.to_dense().equal(expected.confusion.to_dense())
    assert result.mistakes == expected.mistakes


@pytest.mark.parametrize("classes", [6, 1500])
def test_two_processes(tmp_path, classes):
    expected = _meter(*_scores(31, classes), keep=5)
    assert len(expected.mistakes) == 5
    both = [start(_share, rank, str(tmp_path / "store"), expected, classes) for rank in (0, 1)]
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]


def test_sums_do_not_lose_small_terms():
    """In float32, 2**24 images counted one by one would end the count."""
    meter = ClassificationMeter(2, CPU)
    meter._sums += 2**24
    meter.update(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), 0)
    assert meter.result().images == 2**24 + 1


def test_half_precision_logits():
    logits, targets = _scores(20, 6)
    half = logits.half()
    assert _meter(half, targets)[:4] == _meter(half.float(), targets)[:4]
