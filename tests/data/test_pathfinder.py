"""Pathfinder: the answer is in the curves, and in nothing else."""

import hashlib
import math

import numpy as np
import pytest
from scipy import ndimage

from atmnet.data.curves import DASH, FINE, GAP, UNIT, curve_length, draw_curves
from atmnet.data.pathfinder import Pathfinder
from atmnet.data.sources import open_split
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions

SIDES = {"32": {}, "64": {"img_size": 64}, "easy": {"dashes": 3, "distractors": 0}, "wide": {"img_size": [32, 80]}}
#: Radius in pixels of the drawing by which the dashes of a curve, but not two curves, grow together.
REACH = 3


def _solve(drawing):
    """Whether both dots lie on one curve, by growing the dashes until those of a curve touch."""
    disc = np.hypot(*np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1]) <= REACH + 0.5
    canvas = draw_curves([*drawing.long, *drawing.short], drawing.size)
    parts, number = ndimage.label(ndimage.binary_dilation(canvas, disc), np.ones((3, 3)))
    assert number == len(drawing.long) + len(drawing.short), "curves neither touch nor break apart"
    first, second = (parts[tuple(dot * FINE // UNIT)] for dot in drawing.dots)
    return int(first == second)


@pytest.mark.parametrize("kwargs", SIDES.values(), ids=SIDES)
def test_a_solver_that_sees_the_curves_is_always_right(kwargs):
    source = Pathfinder("val", **kwargs)
    assert all(_solve(source.drawing(index)) == source.load(index, "L")[1] for index in range(60))


def test_the_answers_take_turns():
    labels = [Pathfinder("train").load(index, "L")[1] for index in range(8)]
    assert labels == [0, 1] * 4


def test_the_curves_do_not_depend_on_the_answer():
    """Both answers have the same numbers and lengths of curves, and dots on their ends."""
    source = Pathfinder("train", img_size=64, distractors=3)
    for index in range(20):
        drawing = source.drawing(index)
        assert [len(curve) for curve in drawing.long] == [curve_length(10) + 1] * 2
        assert [len(curve) for curve in drawing.short] == [curve_length(3) + 1] * 3
        ends = {tuple(curve[end]) for curve in drawing.long for end in (0, -1)}
        assert {tuple(dot) for dot in drawing.dots} < ends
    assert curve_length(3) == 3 * DASH + 2 * GAP


def test_neither_the_distance_of_the_dots_nor_the_brightness_tells_the_answer():
    source = Pathfinder("train")
    drawings = [source.drawing(index) for index in range(400)]
    distances = np.array([math.dist(*drawing.dots) for drawing in drawings])
    brightness = np.array([drawing.grey().mean() for drawing in drawings])
    labels = np.arange(400) % 2
    for values in (distances, brightness):
        accuracies = [((values > limit) == labels).mean() for limit in np.percentile(values, range(5, 100, 5))]
        assert 0.42 < min(accuracies) <= max(accuracies) < 0.58


def test_pictures_are_the_same_on_every_machine():
    """Figures in the docs are of these pictures; a change of what is drawn makes them void."""
    digest = hashlib.sha256()
    for kwargs in SIDES.values():
        for split in ("train", "val"):
            digest.update(Pathfinder(split, **kwargs).load(7, "L")[0].tobytes())
    assert digest.hexdigest() == "f6190062d60a88fc03acb08f08232664ba251000d1265ce36b90361ecd4e4136"


def test_splits_seeds_and_numbers_give_other_pictures():
    pictures = {
        Pathfinder(split, seed=seed, images=100).load(index, "L")[0].tobytes()
        for split in ("train", "val") for seed in (0, 1) for index in (0, 2)
    }  # fmt: skip
    assert len(pictures) == 8
    assert Pathfinder("train").load(2, "L")[0].tobytes() in pictures


def test_opened_by_options():
    options = DataOptions(source="pathfinder", kwargs={"images": [6, 4], "img_size": 40})
    source = open_split(options, "val", "classification", ["different", "same"])
    image, label = source.load(3, "RGB")
    assert (len(source), source.name(3), image.size, image.mode, label) == (4, "000003.png", (40, 40), "RGB", 1)
    assert source.inventory().facts["arguments"]["images"] == [6, 4]
    assert source.blank("L")[1] == 0


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"side": 64}, "side is now called img_size"),
        ({"length": 3}, "unknown: length; 'pathfinder' takes img_size, images, seed, dashes, distractors"),
        ({"img_size": 16}, "img_size: got 16, 'pathfinder' takes 24 to 512 pixels"),
        ({"dashes": 1}, "dashes: got 1, expected 2 to 16"),
        ({"dashes": 2.5}, "dashes: got 2.5, expected a whole number"),
        ({"distractors": -1}, "distractors: got -1, expected at least 0"),
        ({"distractors": True}, "distractors: got True, expected a whole number"),
        ({"distractors": 18}, "two curves of 5 dashes and 18 distractors do not fit pictures of 32x32; use fewer"),
        ({"dashes": 10**9}, "dashes: got 1000000000, expected 2 to 16 for this img_size"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(UserError, match=message):
        Pathfinder("train", **kwargs)


def test_bad_split():
    with pytest.raises(UserError, match="'pathfinder' has the splits train and val, not 'test'"):
        Pathfinder("test")
