"""The script has no copies of the numbers and texts of drawing.py. Needs no node."""

import json
import re
from importlib.resources import files

from atmnet.report.drawing import DRAWING
from tests.report.reports import written

#: Numbers that are not a choice of the drawing: indices, halves of a token, percent, and just below 1.
_STRUCTURAL = {"0", "1", "2", "0.5", "100", "0.9999"}
_SCRIPTS = ("viewer.js", "layers.js", "save.js", "report.js")


def _script() -> str:
    """The scripts without comments."""
    text = "".join(files("atmnet.report").joinpath(name).read_text("utf-8") for name in _SCRIPTS)
    return re.sub(r"//.*", "", text)


def test_the_script_has_no_numbers_of_its_own():
    numbers = set(re.findall(r"\d*\.?\d+", re.sub(r"(Int|Uint|Float)\d+Array|utf-8|\\u202f", "", _script())))
    assert numbers <= _STRUCTURAL


def test_the_script_has_no_texts_of_its_own():
    texts = [value for value in DRAWING.values() if isinstance(value, str)]
    assert not [text for text in texts if text in _script()]
    assert not re.search(r"\w+ of its", _script())


def test_the_script_uses_exactly_the_values_of_drawing_py():
    assert set(re.findall(r"\bdrawing\.(\w+)", _script())) == DRAWING.keys()


def test_the_page_embeds_the_values_of_drawing_py(tmp_path):
    page = written(tmp_path)
    data = json.loads("".join(data for tag, data in page.texts if tag == "script" and data.startswith("{")))
    assert data["drawing"] == DRAWING
