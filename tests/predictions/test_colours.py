"""Colours of classes."""

import numpy as np
import pytest

from atmnet.predictions.colours import class_colours, ink_on


@pytest.mark.parametrize("count", [1, 7, 20, 80, 150, 255])
def test_all_differ(count):
    colours = np.array(class_colours(count))
    assert colours.shape == (count, 3)
    apart = np.abs(colours[:, None] - colours[None]).max(-1) + 1000 * np.eye(count, dtype=int)
    assert apart.min() > 5


def test_few_classes_differ_much_even_without_green_cones():
    """Red and green light that only green cones tell apart is not all that separates two colours."""
    colours = np.array(class_colours(12)) / 255
    deuteranopia = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    seen = (colours**2.2) @ deuteranopia.T
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + np.eye(12)
    assert apart.min() > 0.05


def test_more_classes_change_no_colour():
    assert class_colours(150)[:9] == class_colours(9)
    assert len(class_colours(0)) == 0
    assert class_colours(300)[256:] == class_colours(44)


def test_ink_is_legible():
    """WCAG asks for a contrast of 4.5."""
    for colour in class_colours(256):
        light, dark = sorted((_luminance(colour), _luminance(ink_on(colour))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 4.5


def _luminance(colour):
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
