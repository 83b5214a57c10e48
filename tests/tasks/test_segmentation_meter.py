"""The meter against a confusion matrix by hand."""

import numpy as np
import pytest
import torch

from atmnet.data.targets import IGNORE
from atmnet.tasks.segmentation_meter import SegmentationMeter
from atmnet_cli.errors import UserError
from tests.processes import start

CPU = torch.device("cpu")


def _case(seed, images=None):
    """Label maps of several sizes; some classes never occur, some images are to be ignored in whole or in part."""
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 12))
    occurring = rng.permutation(classes)[: max(1, classes - int(rng.integers(0, 4)))]
    known = images is not None or rng.random() > 0.05
    outputs, targets = [], []
    for _ in range(images or int(rng.integers(1, 6))):
        shape = tuple(rng.integers(1, 20, 2))
        target = rng.choice(occurring, shape).astype(np.uint8)
        output = np.where(rng.random(shape) < 0.6, target, rng.choice(occurring, shape)).astype(np.int64)
        target[rng.random(shape) < (rng.choice([0, 0.3, 1], p=[0.3, 0.6, 0.1]) if known else 1)] = IGNORE
        outputs.append(torch.from_numpy(output))
        targets.append(torch.from_numpy(target))
    return outputs, targets, [f"class {k}" for k in range(classes)]


def _measure(outputs, targets, classes, batch=2, first=0, stride=1):
    meter = SegmentationMeter(classes, CPU)
    for at in range(0, len(targets), batch):
        meter.update(outputs[at : at + batch], targets[at : at + batch], first + at * stride, stride)
    return meter.result()


def _by_hand(outputs, targets, classes):
    """Pixel by pixel: (confusion, mIoU, mAcc, aAcc, IoU of each class)."""
    confusion = np.zeros((len(classes), len(classes)), int)
    for output, target in zip(outputs, targets, strict=True):
        for predicted, true in zip(output.flatten().tolist(), target.flatten().tolist(), strict=True):
            if true != 255:
                confusion[true, predicted] += 1
    iou, accuracy = [], []
    for k in range(len(classes)):
        right, true, predicted = confusion[k, k], confusion[k].sum(), confusion[:, k].sum()
        iou.append(right / (true + predicted - right) if true + predicted else None)
        if true:
            accuracy.append(right / true)
    occurring = [value for value in iou if value is not None]
    if not occurring:
        return confusion, None, None, None, iou
    pixels = confusion.sum()
    return confusion, np.mean(occurring), np.mean(accuracy), np.trace(confusion) / pixels, iou


@pytest.mark.parametrize("tens", range(20))
def test_by_hand(tens):
    """200 random cases."""
    for seed in range(10 * tens, 10 * tens + 10):
        outputs, targets, classes = _case(seed)
        result = _measure(outputs, targets, classes)
        confusion, miou, macc, aacc, iou = _by_hand(outputs, targets, classes)
        assert result.confusion.to_dense().tolist() == confusion.tolist()
        if miou is None:
            assert result.metrics == {"images": len(targets)}
            assert result.score == 0
            assert result.text == f"no labelled pixel on {len(targets)} images"
            continue
        expected = {"miou": 100 * miou, "macc": 100 * macc, "aacc": 100 * aacc, "images": len(targets)}
        assert result.metrics == pytest.approx(expected, abs=1e-6, rel=0)
        assert result.score == result.metrics["miou"]
        each = [np.nan if value is None else 100 * value for value in iou]
        np.testing.assert_allclose(result.iou, each, atol=1e-6, rtol=0)


def test_the_cases_have_what_they_should():
    results = [(_measure(*_case(seed)), _case(seed)) for seed in range(200)]
    assert sum("miou" not in result.metrics for result, _ in results) > 3
    assert sum(bool(np.isnan(result.iou).any()) for result, _ in results) > 50
    assert sum(any(bool((t == IGNORE).any()) for t in case[1]) for _, case in results) > 100


def test_a_class_that_is_only_predicted_counts_in_miou_and_not_in_macc():
    result = _measure([torch.tensor([[0, 0, 2, 1]])], [torch.tensor([[0, 0, 0, 1]]).byte()], ["a", "b", "c", "d"])
    assert result.iou[:3] == pytest.approx([200 / 3, 100, 0])
    assert np.isnan(result.iou[3])
    assert result.metrics["miou"] == pytest.approx((200 / 3 + 100) / 3)
    assert result.metrics["macc"] == pytest.approx((200 / 3 + 100) / 2)
    assert result.text == "mIoU 55.56 %, class accuracy 83.33 %, pixel accuracy 75.00 % on 1 images"


def test_what_is_predicted_where_ignored_does_not_matter():
    target = torch.tensor([[0, 1, IGNORE, IGNORE]]).byte()
    outputs = [torch.tensor([[0, 1, *ignored]]) for ignored in ([0, 0], [1, 1])]
    first, second = (_measure([output], [target], ["a", "b"]) for output in outputs)
    assert first.metrics == second.metrics == {"miou": 100, "macc": 100, "aacc": 100, "images": 1}


def test_150_classes():
    target = torch.arange(150, dtype=torch.uint8).view(10, 15)
    assert _measure([target.long()], [target], [str(k) for k in range(150)]).score == 100


def test_a_label_that_is_no_class_is_told():
    maps = [torch.zeros(2, 2).byte(), torch.tensor([[0, 3], [IGNORE, 0]]).byte()]
    meter = SegmentationMeter(["a", "b", "c"], CPU)
    with pytest.raises(UserError, match=r"image 9: label 3 in a label map, expected 0 to 2 or 255"):
        meter.update([torch.zeros(2, 2).long()] * 2, maps, 5, 4)


def test_counts_do_not_lose_small_terms():
    """In float32, 2**24 pixels counted one by one would end the count."""
    meter = SegmentationMeter(["a"], CPU)
    meter._confusion._dense += 2**53
    meter.update([torch.zeros(1, 1).long()], [torch.zeros(1, 1).byte()], 0)
    assert meter.result().confusion.to_dense().item() == 2**53 + 1


def _share(rank, store, images, expected):
    """The work of one of two processes: every second image; ends with 0 if the result is that of all of them."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    outputs, targets, classes = _case(5, images=images)
    result = _measure(outputs[rank::2], targets[rank::2], classes, first=rank, stride=2)
    torch.distributed.destroy_process_group()
    assert result.metrics == expected.metrics
    assert result.confusion.to_dense().equal(expected.confusion.to_dense())


@pytest.mark.parametrize("images", [1, 7])
def test_two_processes(tmp_path, images):
    """Of 7 images one process has 4, the other 3; of one image, one has none."""
    expected = _measure(*_case(5, images=images))
    both = [start(_share, rank, str(tmp_path / "store"), images, expected) for rank in (0, 1)]
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
