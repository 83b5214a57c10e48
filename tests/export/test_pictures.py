"""Pictures to compare on come from whatever library is installed."""

import sys

from atmnet.export import pictures


def test_digits_stand_in_for_photographs(monkeypatch):
    """Without scikit-image there are scikit-learn's digits, and without both there is nothing to compare on."""
    monkeypatch.setitem(sys.modules, "skimage", None)
    assert pictures._photographs() == []
    digits = pictures._digits(5)
    assert [image.size for image in digits] == [(32, 32)] * 5
    assert {image.mode for image in digits} == {"RGB"}
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert pictures._digits(5) == []
