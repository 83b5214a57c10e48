"""Digit scenes: what is asked of them as data, and what they must never do."""

import hashlib
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from atmnet.data import DigitsReader, Key, list_samples
from atmnet.data.dataset import TrainSet
from atmnet.data.dense_transforms import DetectionTrain
from atmnet.data.pasting import resize_ink
from atmnet.data.scene import _find_place
from atmnet.data.scene_material import digits, photographs
from atmnet.data.scenes import SceneClassification, SceneDetection, SceneSegmentation
from atmnet.data.sources import open_split
from atmnet.data.targets import IGNORE
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions, DenseOptions


def test_numbers_of_scenes():
    assert (len(SceneDetection("train")), len(SceneDetection("val"))) == (2000, 300)
    assert len(SceneSegmentation("val", images=7)) == 7
    assert [len(SceneSegmentation(split, images=[7, 3])) for split in ("train", "val")] == [7, 3]


def test_a_scene_is_a_function_of_seed_split_and_index():
    source = SceneDetection("train", img_size=64)
    image, target = source.load(5, "RGB")
    again = pickle.loads(pickle.dumps(source)).load(5, "RGB")
    assert image.tobytes() == again[0].tobytes()
    assert torch.equal(target.masks, again[1].masks)
    others = [SceneDetection("train", img_size=64, seed=1).load(5, "RGB"), source.load(6, "RGB")]
    others.append(SceneDetection("val", img_size=64).load(5, "RGB"))
    assert all(other.tobytes() != image.tobytes() for other, _ in others)


@pytest.mark.slow
def test_another_process_makes_the_same_scenes():
    code = (
        "import hashlib; from atmnet.data.scenes import SceneDetection; s = SceneDetection('val', img_size=64);"
        "print(hashlib.sha256(b''.join(s.load(i, 'RGB')[0].tobytes() for i in range(4))).hexdigest(), end='')"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    source = SceneDetection("val", img_size=64)
    assert answer == hashlib.sha256(b"".join(source.load(i, "RGB")[0].tobytes() for i in range(4))).hexdigest()


@pytest.mark.parametrize(
    ("split", "labels", "boxes"),
    [
        ("train", [5, 7, 4, 1], [[14, 12, 36, 47], [91, 12, 104, 37], [71, 69, 91, 99], [48, 63, 53, 73]]),
        ("val", [6, 1, 3, 9, 5],
         [[104, 26, 123, 56], [102, 79, 110, 92], [52, 34, 59, 44], [77, 63, 84, 76], [22, 16, 50, 56]]),
    ],
)  # fmt: skip
def test_scenes_are_those_that_were_measured(split, labels, boxes):
    """Figures in the docs and recipes are of these scenes; a change of what is drawn makes them void."""
    _, target = SceneDetection(split).load(0, "RGB")
    assert (target.labels.tolist(), target.boxes.tolist()) == (labels, boxes)


def test_training_samples_are_a_function_of_their_key():
    data = TrainSet(SceneDetection("train", img_size=64), DetectionTrain(DenseOptions(img_sizes=[48, 64])), "RGB", 0)
    first, other, again = (data[Key(0, position, 3)] for position in (3, 4, 3))
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.target.boxes, again.target.boxes)
    assert first.image.shape != other.image.shape or not torch.equal(first.image, other.image)
    batch = list_samples([first, other])
    assert [type(value) for value in (batch.images, batch.targets)] == [list, list]


def test_number_of_scenes_does_not_change_them():
    first, second = (SceneDetection("train", img_size=64, images=n).load(3, "RGB")[0] for n in (10, 20))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("side", [128, (31, 200), 512, 24])
def test_sizes(side):
    height, width = (side, side) if isinstance(side, int) else side
    image, target = SceneDetection("train", img_size=side).load(0, "L")
    assert image.size == (width, height)
    assert image.mode == "L"
    assert target.masks.shape[1:] == (height, width)
    assert SceneSegmentation("train", img_size=side).load(0, "RGB")[1].shape == (height, width)


def test_boxes_are_tight_around_what_is_seen():
    source = SceneDetection("train", images=30)
    for index in range(30):
        _, target = source.load(index, "RGB")
        assert 1 <= len(target.labels) <= 8
        for box, mask, area in zip(target.boxes, target.masks, target.area, strict=True):
            rows, columns = torch.nonzero(mask, as_tuple=True)
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert box.tolist() == [int(edge) for edge in found]
            assert area == mask.sum()
        assert target.masks.sum(0).max() == 1, "masks of what is seen do not overlap"


def test_types_of_a_target():
    _, target = SceneDetection("val").load(0, "RGB")
    assert (target.boxes.dtype, target.labels.dtype, target.masks.dtype) == (torch.float32, torch.int64, torch.bool)
    assert (target.crowd.dtype, target.area.dtype) == (torch.bool, torch.float32)
    assert not target.crowd.any()
    assert target.image_id == 1


def test_no_digit_is_mostly_covered():
    earlier = np.zeros((20, 20), bool)
    earlier[:, 5:15] = True
    draw = random.Random(0)
    assert _find_place(draw, np.ones((20, 20), bool), [earlier], [200], (20, 20)) is None
    for _ in range(50):
        rows, columns = _find_place(draw, np.ones((20, 9), bool), [earlier], [200], (20, 20))
        assert (rows, columns.stop - columns.start) == (slice(0, 20), 9)
        assert earlier.sum() - earlier[rows, columns].sum() >= 0.4 * 200


def test_label_map_agrees_with_masks():
    detection, segmentation = SceneDetection("train", img_size=64), SceneSegmentation("train", img_size=64)
    for index in range(10):
        image, target = detection.load(index, "RGB")
        same, labels = segmentation.load(index, "RGB")
        assert image.tobytes() == same.tobytes()
        assert labels.dtype == torch.uint8
        expected = torch.zeros(64, 64, dtype=torch.uint8)
        for label, mask in zip(target.labels, target.masks, strict=True):
            expected[mask] = int(label) + 1
        assert torch.equal(labels, expected)
    assert segmentation.classes == ["background", *detection.classes]


def test_labels_of_scenes():
    detection = SceneDetection("train", img_size=64)
    largest, total = (SceneClassification("train", img_size=64, label=label) for label in ("largest", "sum"))
    for index in range(40):
        image, target = detection.load(index, "RGB")
        same, label = largest.load(index, "RGB")
        assert image.tobytes() == same.tobytes()
        assert label == target.labels[target.area.argmax()]
        assert total.load(index, "RGB")[1] == target.labels.sum() % 10


@pytest.mark.parametrize("label", ["largest", "sum"])
def test_labels_of_scenes_are_spread_over_the_classes(label):
    source = SceneClassification("train", img_size=32, label=label)
    counts = np.bincount([source.load(index, "L")[1] for index in range(1000)], minlength=10)
    assert 60 < counts.min() <= counts.max() < 145


def test_digits_differ_from_the_ground():
    """By contrast and at its pixels: a person can read them."""
    source = SceneDetection("val")
    gaps = []
    for index in range(40):
        image, target = source.load(index, "L")
        grey = torch.from_numpy(np.array(image)).float()
        seen = target.masks.any(0)
        for (x0, y0, x1, y1), mask in zip(target.boxes.int().tolist(), target.masks, strict=True):
            window = slice(max(y0 - 3, 0), y1 + 3), slice(max(x0 - 3, 0), x1 + 3)
            ground = grey[window][~seen[window]]
            if len(ground) > 20:
                gaps.append(float((grey[mask].median() - ground.median()).abs()))
    assert len(gaps) > 100
    assert np.percentile(gaps, 10) > 30


def test_validation_holds_out_digits_and_photographs():
    pictures = [{image.tobytes() for image in photographs(split)} for split in ("train", "val")]
    assert [len(found) for found in pictures] == [12, 4]
    assert not pictures[0] & pictures[1]
    assert [len(digits(split)) for split in ("train", "val")] == [1347, 450]
    readers = [DigitsReader(split) for split in ("train", "val")]
    names = [{reader.filename(index) for index in range(len(reader))} for reader in readers]
    assert not names[0] & names[1]


@pytest.mark.parametrize("length", [8, 10, 56, 200])
def test_no_digit_outgrows_its_length_by_a_quarter(length):
    for _, ink in digits("val"):
        alpha = resize_ink(ink, length)
        assert max(alpha.shape) <= 1.25 * length
        assert (alpha > 127).any()


def test_every_digit_appears():
    source = SceneDetection("train", img_size=64)
    labels = torch.cat([source.load(index, "RGB")[1].labels for index in range(60)])
    assert set(labels.tolist()) == set(range(10))


def test_without_objects():
    image, target = SceneDetection("train", img_size=64, objects=[0, 0]).load(0, "RGB")
    assert (image.size, target.boxes.shape, target.masks.shape) == ((64, 64), (0, 4), (0, 64, 64))
    assert (SceneSegmentation("train", img_size=64, objects=[0, 0]).load(0, "RGB")[1] == 0).all()


def test_blanks():
    assert len(SceneDetection("train").blank("L")[1].labels) == 0
    assert (SceneSegmentation("train").blank("L")[1] == IGNORE).all()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"size": 3}, "unknown: size; 'scenes' takes img_size, images, seed, digit_sizes, contrast, objects"),
        ({"objects": 3}, r"objects: got 3, expected \[minimum, maximum\]"),
        ({"objects": [3, 1]}, r"objects: got \(3, 1\), expected 0 <= minimum <= maximum"),
        ({"img_size": "128"}, "img_size: got '128', expected a number of pixels"),
        ({"img_size": 0}, "img_size: got 0"),
        ({"images": 0}, "images: got 0"),
        ({"contrast": [90, 20]}, r"contrast: got \(90, 20\), expected 0 <= minimum <= maximum"),
        ({"contrast": 9}, r"contrast: got 9, expected \[minimum, maximum\] in levels of 255"),
        ({"digit_sizes": [10, 120]}, "digits of up to 120 pixels do not fit pictures of 128x128; expected at most 102"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(UserError, match=message):
        SceneDetection("train", **kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"label": "most"}, "label: got 'most', expected 'largest' or 'sum'"),
        ({"objects": [0, 3]}, r"objects: got \(0, 3\), expected at least 1 digit in a labelled scene"),
    ],
)
def test_bad_arguments_of_labelled_scenes(kwargs, message):
    with pytest.raises(UserError, match=message):
        SceneClassification("train", **kwargs)


def test_bad_splits_and_pairings():
    with pytest.raises(UserError, match="has the splits train and val, not 'test'"):
        SceneSegmentation("test")
    with pytest.raises(
        UserError,
        match="got 'ade20k', expected one of coco, yolo, voc, labelme, cvat, labelstudio, scenes for detection",
    ):
        open_split(DataOptions(source="ade20k"), "train", "detection")
    with pytest.raises(UserError, match="the network has a b"):
        open_split(DataOptions(source="scenes"), "val", "detection", ["a", "b"])


def test_opened_by_options():
    options = DataOptions(source="scenes", kwargs={"img_size": 64, "images": 3})
    assert isinstance(open_split(options, "train", "detection"), SceneDetection)
    source = open_split(options, "val", "segmentation", ["background", *map(str, range(10))])
    assert isinstance(source, SceneSegmentation)
    assert (len(source), source.name(2)) == (3, "000002.png")
