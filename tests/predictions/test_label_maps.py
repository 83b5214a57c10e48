"""Label maps on pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from atmnet.data.targets import IGNORE
from atmnet.predictions.colours import class_colours
from atmnet.predictions.label_maps import draw_label_map
from tests.predictions.drawn import CLASSES, grey, where

CUP, SPOON, PLATE = class_colours(3)


def _halves():
    """Left a plate, right a spoon."""
    label_map = torch.full((600, 800), 2)
    label_map[:, 400:] = 1
    return label_map


def test_colours_cover_the_picture():
    pixels = np.asarray(draw_label_map(grey(), _halves(), CLASSES)).astype(int)
    for column, colour in ((200, PLATE), (600, SPOON)):
        assert np.abs(pixels[300, column] - (0.75 * 128 + 0.25 * np.array(colour))).max() <= 2
    for column, colour in ((398, PLATE), (401, SPOON)):
        assert (pixels[:600, column] == colour).all(), "an outline"
    assert not (pixels[:600, :390] == PLATE).all(-1).any()


def test_ignored_pixels_are_left_as_they_are():
    label_map = _halves().to(torch.uint8)
    label_map[:, 400:] = IGNORE
    sheet = draw_label_map(grey(), label_map, CLASSES)
    assert sheet.getpixel((600, 300)) == (128, 128, 128)
    assert sheet.getpixel((200, 300)) != (128, 128, 128)
    assert len(where(sheet, PLATE)) > 50
    assert len(where(sheet, SPOON)) == 0


def test_background_is_left_as_it_is():
    label_map = _halves()
    label_map[:, 400:] = 0
    sheet = draw_label_map(grey(), label_map, ["background", *CLASSES[1:]])
    assert sheet.getpixel((600, 300)) == (128, 128, 128)
    assert len(where(sheet, PLATE)) > 50
    assert len(where(sheet, CUP)) == 0
    alone = draw_label_map(grey(), torch.zeros(600, 800, dtype=torch.long), ["background", *CLASSES[1:]])
    assert alone.tobytes() == grey().tobytes()


def test_legend_has_the_largest_first():
    label_map = _halves()
    label_map[:100] = 0
    label_map[:, 300:] = 1
    legend = draw_label_map(grey(), label_map, CLASSES).crop((0, 600, 800, 900))
    lefts = [where(legend, colour)[:, 1].min() for colour in (SPOON, PLATE, CUP)]
    assert lefts == sorted(lefts)
    assert len(set(lefts)) == 3


def test_nothing_known():
    sheet = draw_label_map(grey(), torch.full((600, 800), IGNORE, dtype=torch.uint8), CLASSES)
    assert sheet.tobytes() == grey().tobytes()


@pytest.mark.parametrize("size", [(128, 96), (1, 1), (31, 400)])
def test_small_pictures_are_enlarged(size):
    width, height = size
    sheet = draw_label_map(grey(*size), torch.zeros(height, width, dtype=torch.long), CLASSES)
    assert max(sheet.size) > 700
    assert len(where(sheet, CUP)) > 50


def test_a_map_of_another_size_is_stretched():
    expected = draw_label_map(grey(), _halves(), CLASSES)
    assert draw_label_map(grey(), _halves()[::4, ::4], CLASSES).tobytes() == expected.tobytes()


def test_150_classes():
    label_map = torch.arange(150).view(10, 15).repeat_interleave(40, 0).repeat_interleave(40, 1)
    sheet = draw_label_map(Image.new("L", (600, 400)), label_map, [f"class {k}" for k in range(150)])
    assert sheet.height > 500
