"""Pairs of digits: the answer is in the digits, and in nothing else."""

import functools
import hashlib

import numpy as np
import pytest

from atmnet.data import pair_scene
from atmnet.data.pair_scene import PairOptions, RowOptions, _by_class, make_pair, make_rows
from atmnet.data.pairs import PairClassification, PairSegmentation
from atmnet.data.pasting import resize_ink
from atmnet.data.scene_material import digits, photographs
from atmnet.data.sources import open_split
from atmnet.data.targets import IGNORE
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions

#: Digits of few sizes, so that a solver can know all of them.
FEW_SIZES = {"digit_sizes": [18, 19]}


@functools.cache
def _known():
    """The shape and pixels of every digit of the validation split in every size -> its class."""
    return {_key(resize_ink(ink, length)): label for label, ink in digits("val") for length in (18, 19)}


def _key(alpha):
    return alpha.shape, alpha.tobytes()


def _read(digit):
    """The class of a digit, from its pixels."""
    return _known()[_key(digit.alpha)]


def test_a_solver_that_knows_the_digits_is_always_right():
    source = PairClassification("val", **FEW_SIZES)
    for index in range(40):
        _, (first, second) = make_pair("val", index, source.options)
        assert (_read(first) == _read(second)) == source.load(index, "RGB")[1]
        assert _key(first.alpha) != _key(second.alpha), "two samples"


def test_a_solver_that_knows_the_digits_labels_every_pixel():
    source = PairSegmentation("val", img_size=96, rows=3, digit_classes=4, **FEW_SIZES)
    for index in range(20):
        _, pasted = make_rows("val", index, source.options)
        _, labels = source.load(index, "RGB")
        expected = np.zeros((96, 96), np.uint8)
        for digit in pasted:
            (other,) = (one for one in pasted if one is not digit and one.row // 32 == digit.row // 32)
            expected[digit.place][digit.alpha > 127] = _read(other) + 1
        assert np.array_equal(labels, expected)
        assert len(pasted) == 6


def test_classes_are_balanced_and_independent_of_the_answer():
    counts = np.zeros((2, 3), int)
    for index in range(600):
        _, pair = make_pair("train", index, PairOptions(digit_classes=3, distractors=0))
        for digit in pair:
            counts[index % 2, digit.label] += 1
    assert counts.sum(1).tolist() == [600, 600]
    assert counts.min() > 160


@pytest.mark.parametrize("distance", [0.0, 0.5, 0.57])
@pytest.mark.parametrize("make", [make_pair, make_rows])
def test_digits_are_as_far_apart_as_asked(make, distance):
    options = (PairOptions if make is make_pair else RowOptions)(distance=distance)
    for index in range(25):
        _, pasted = make("train", index, options)
        for first, second in zip(pasted[::2], pasted[1::2], strict=True):
            centres = [
                np.array([digit.row, digit.column]) + np.array(digit.alpha.shape) / 2 for digit in (first, second)
            ]
            assert np.linalg.norm(centres[0] - centres[1]) >= distance * 64
            overlap = np.zeros((64, 64), int)
            for digit in (first, second):
                overlap[digit.place] += 1
            assert overlap.max() == 1


def test_digits_of_a_class_are_those_of_the_split():
    assert [sum(len(inks) for inks in _by_class(split)) for split in ("train", "val")] == [1347, 450]


def test_pictures_are_the_same_on_every_machine(monkeypatch):
    """Figures in the docs are of these pictures. The photograph is a PNG: decoders of JPEG may round differently."""
    monkeypatch.setattr(pair_scene, "photographs", lambda split: photographs("val")[:1])
    digest = hashlib.sha256()
    for source in (
        PairClassification("train"),
        PairSegmentation("train"),
        PairClassification("val", img_size=[40, 90]),
    ):
        for index in (0, 3):
            digest.update(source.load(index, "RGB")[0].tobytes())
    assert digest.hexdigest() == "9430fb04c250465cc46c25fdd8d2fd5cbf82dcdb9192cb9c435e21f155f6decc"


def test_opened_by_options():
    options = DataOptions(source="pairs", kwargs={"images": 3, "digit_classes": 2})
    assert isinstance(open_split(options, "train", "classification"), PairClassification)
    source = open_split(options, "val", "segmentation", ["background", "beside 0", "beside 1"])
    image, labels = source.load(2, "L")
    assert (len(source), image.mode, tuple(labels.shape)) == (3, "L", (64, 64))
    assert source.labels(labels) <= {0, 1, 2}
    assert (source.blank("L")[1] == IGNORE).all()
    with pytest.raises(UserError, match="'pairs' has the classes different same; the network has a b"):
        open_split(options, "val", "classification", ["a", "b"])


@pytest.mark.parametrize(
    ("source", "kwargs", "message"),
    [
        (PairClassification, {"rows": 2}, "unknown: rows; 'pairs' takes img_size, images, seed, digit_sizes, contrast"),
        (PairClassification, {"distance": 0.9}, "distance: got 0.9, expected 0 to 0.57 for digits of up to 21 pixels"),
        (PairClassification, {"distance": "far"}, "distance: got 'far', expected a share of the side"),
        (PairClassification, {"digit_classes": 11}, "digit_classes: got 11, expected a whole number from 2 to 10"),
        (PairClassification, {"distractors": -1}, "distractors: got -1, expected at least 0"),
        (PairClassification, {"img_size": 5000}, "img_size: got 5000, .*from 1 to 4096"),
        (PairClassification, {"digit_sizes": [20, 60]}, "digits of up to 60 pixels do not fit pictures of 64x64"),
        (PairSegmentation, {"rows": 3}, "rows: got 3, expected 1 to 2 for digits of up to 21 pixels in pictures"),
    ],
)
def test_bad_arguments(source, kwargs, message):
    with pytest.raises(UserError, match=message):
        source("train", **kwargs)
