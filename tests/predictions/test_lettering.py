"""Names in images are drawn in the script that they are written in."""

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image, ImageDraw

from atmnet.predictions import fonts, lettering
from atmnet.predictions.lettering import Lettering

KATAKANA = "コ"


def _square(left: int, right: int):
    pen = TTGlyphPen(None)
    for number, point in enumerate([(left, 0), (left, 700), (right, 700), (right, 0)]):
        (pen.lineTo if number else pen.moveTo)(point)
    pen.closePath()
    return pen.glyph()


@pytest.fixture
def without_fonts(tmp_path, monkeypatch):
    """An empty folder of fonts, the only one of the system."""
    monkeypatch.setattr(fonts, "_folders", lambda: [tmp_path])
    caches = (fonts._installed_fonts, fonts._group_fonts, fonts.font_file, lettering._font)
    for cached in caches:
        cached.cache_clear()
    yield tmp_path
    for cached in caches:
        cached.cache_clear()


@pytest.fixture
def with_katakana(without_fonts):
    """A font with one letter, a narrow bar."""
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "ko"])
    builder.setupCharacterMap({ord(KATAKANA): "ko"})
    builder.setupGlyf({".notdef": _square(0, 900), "ko": _square(400, 500)})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "ko": (1000, 400)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Test", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(without_fonts / "test.ttf")
    (without_fonts / "damaged.ttf").write_bytes(b"no font")
    return without_fonts


def _drawn(line: str) -> np.ndarray:
    image = Image.new("L", (300, 40))
    Lettering(20).draw(ImageDraw.Draw(image), (10, 5), line, 255)  # type: ignore[arg-type]
    return np.asarray(image)


def test_accents_are_drawn(without_fonts):
    assert not np.array_equal(_drawn("Blüte"), _drawn("Blute"))
    assert np.array_equal(_drawn("Blu\u0308te"), _drawn("Blüte")), "as macOS writes file names"


def test_a_font_that_has_the_letter_is_used(with_katakana):
    columns = np.flatnonzero((_drawn(KATAKANA) > 128).any(0))
    assert columns.tolist() == [18, 19], "the bar of the font"
    letters = Lettering(20)
    assert letters.length(f"a{KATAKANA}") == pytest.approx(letters.length("a") + 20)


def test_a_box_is_drawn_if_no_font_has_the_letter(without_fonts):
    assert np.array_equal(_drawn(KATAKANA), _drawn("\uffff"))
    assert (_drawn(KATAKANA) > 0).any()
    assert not np.array_equal(_drawn(KATAKANA), _drawn("?"))


def test_a_font_of_placeholders_is_not_used(with_katakana):
    (with_katakana / "test.ttf").rename(with_katakana / "LastResort-Regular.ttf")
    assert np.array_equal(_drawn(KATAKANA), _drawn("\uffff"))


def test_text_is_centred_on_its_anchor():
    image = Image.new("L", (300, 60))
    Lettering(20).draw(ImageDraw.Draw(image), (150, 30), "HHHH", 255, "mm")
    rows, columns = np.nonzero(np.asarray(image) > 128)
    assert abs(columns.min() + columns.max() - 300) <= 3
    assert abs(rows.min() + rows.max() - 60) <= 6
