"""Objects on pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from atmnet.predictions.colours import class_colours
from atmnet.predictions.detections import draw_detections
from tests.predictions.drawn import CLASSES, corners, filled, found, grey, where

CUP, SPOON, PLATE = class_colours(3)


def _draw(image, output, classes=CLASSES):
    return draw_detections(image, output["boxes"], output["labels"], output["scores"], output.get("masks"), classes)


def _picture(sheet, image):
    """Without the legend, at the scale of ``image``: a large picture is not changed in size."""
    return sheet.crop((0, 0, *image.size))


def test_boxes_are_where_they_should_be():
    image = grey()
    sheet = _picture(_draw(image, found([[100, 200, 300, 400], [400, 100, 700, 500]], [0, 2])), image)
    lower = sheet.crop((0, 300, *image.size))  # below the names
    assert corners(where(lower, CUP)) == [100, 0, 300, 100]
    assert corners(where(lower, PLATE)) == [400, 0, 700, 200]
    assert sheet.getpixel((200, 300)) == (128, 128, 128)
    assert len(where(sheet, SPOON)) == 0


def test_small_pictures_are_enlarged():
    sheet = _draw(grey(128, 96), found([[32, 48, 64, 80]], [1]))
    assert sheet.width == 6 * 128
    assert sheet.height > 6 * 96
    box = where(sheet.crop((0, 6 * 50, 6 * 128, 6 * 96)), SPOON)
    assert corners(box) == [6 * 32, 0, 6 * 64, 6 * 30]


def test_masks_are_seen_through():
    boxes = [[100, 200, 300, 400]]
    image = grey()
    plain, masked = (
        np.asarray(_picture(_draw(image, found(boxes, [0], masks=masks)), image)).astype(int)
        for masks in (None, filled(boxes))
    )
    inside, mixed = masked[300, 200], 0.8 * 128 + 0.2 * np.array(CUP)
    assert np.abs(inside - mixed).max() <= 2
    changed = (plain != masked).any(-1)
    assert corners(np.argwhere(changed))[:2] >= [99, 199]
    assert changed[203:397, 103:297].all()
    assert not changed[:, 303:].any()


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.float16])
def test_kinds_of_masks(kind):
    boxes = [[100, 200, 300, 400]]
    expected = _draw(grey(), found(boxes, [0], masks=filled(boxes)))
    masks = (filled(boxes) > 0.5).to(kind)
    for given in (masks, masks.squeeze(1)):
        assert _draw(grey(), found(boxes, [0], masks=given)).tobytes() == expected.tobytes()


def test_names_stay_in_the_picture_and_off_each_other():
    """Chips of several objects at the edges: as much colour as if each were alone."""
    image = grey()
    boxes = [[0, 0, 90, 90], [0, 0, 92, 91], [700, 0, 799, 60], [780, 550, 799, 599], [702, 0, 799, 62]]
    classes = [f"class {k}" for k in range(5)]
    together = _picture(_draw(image, found(boxes, range(5)), classes), image)
    for k, (box, colour) in enumerate(zip(boxes, class_colours(5), strict=True)):
        alone = _picture(_draw(image, found([box], [k]), classes), image)
        rows, columns = (np.bincount(where(alone, colour)[:, axis]) for axis in (0, 1))
        assert max(rows) > 60, "a name has room inside the picture"
        assert len(columns) <= image.width
        assert len(where(together, colour)) > 0.7 * len(where(alone, colour))


def test_an_empty_mask_is_no_error():
    boxes, image = [[100, 200, 300, 400]], grey()
    expected = _draw(image, found(boxes, [0]))
    assert _draw(image, found(boxes, [0], masks=torch.zeros(1, 1, 600, 800))).tobytes() == expected.tobytes()


def test_a_name_that_is_too_long_is_cut():
    image = grey(300, 800)
    sheet = _draw(image, found([[100, 300, 200, 400]], [0]), ["a name that is much too long for this picture"])
    assert sheet.width == 300
    chip = corners(where(sheet.crop((0, 0, 300, 800)), CUP))
    assert chip[0] >= 0
    assert chip[2] <= 299


def test_legend_names_what_is_there():
    boxes, image = [[100, 200, 300, 400]] * 3, grey()
    none = _draw(image, found([], []))
    one, two = (_draw(image, found(boxes, labels)).crop((0, 600, 800, 900)) for labels in ([0, 0, 0], [0, 0, 2]))
    assert none.size == image.size
    assert none.tobytes() == image.tobytes()
    assert len(where(one, CUP)) > 50
    assert len(where(one, PLATE)) == 0
    assert len(where(two, CUP)) == len(where(two, PLATE)) == len(where(one, CUP))


def test_a_long_legend_ends():
    classes = [f"class {k}" for k in range(100)]
    boxes = [[100, 200, 300, 400]] * 100
    height = [_draw(grey(), found(boxes[:n], range(n)), classes).height for n in (30, 31, 100)]
    assert height[0] < height[1] == height[2]


def test_small_objects_are_drawn_over_large_ones():
    boxes = [[300, 200, 400, 300], [100, 100, 700, 500]]
    sheet = _draw(grey(), found(boxes, [0, 1], masks=filled(boxes)))
    red, _, blue = sheet.getpixel((350, 250))
    assert red > blue, "orange over blue"


def test_boxes_outside_and_without_extent():
    image = grey()
    boxes = [[-50, -50, 900, 700], [810, 10, 900, 50], [5, 5, 5, 5]]
    sheet = _picture(_draw(image, found(boxes, [0, 1, 2])), image)
    assert corners(where(sheet, CUP)) == [0, 0, 799, 599]


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_any_mode(mode):
    sheet = _draw(Image.new(mode, (800, 600)), found([[100, 200, 300, 400]], [0]))
    assert sheet.mode == "RGB"


@pytest.mark.parametrize("size", [(1, 1), (31, 400), (400, 31), (3000, 20)])
def test_any_size(size):
    width, height = size
    boxes = [[0, 0, width, height]]
    sheet = _draw(grey(*size), found(boxes, [0], masks=filled(boxes, *size)))
    assert len(where(sheet, CUP)) > 0
    assert sheet.width >= max(240, width)


def test_names_in_any_script():
    sheet = _draw(grey(), found([[100, 200, 300, 400]] * 2, [0, 1]), ["Übergröße", "北京 🐈"])
    assert len(where(sheet, CUP)) > 0
