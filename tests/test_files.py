"""Files are valid JSON whatever the numbers are; text that JSON cannot hold is refused."""

import json

import pytest

from atmnet.files import to_json, write_json

NAN, INF = float("nan"), float("inf")


def _strict(text):
    def refuse(name):
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


def test_numbers_that_are_not_finite_are_null(tmp_path):
    value = {"a": [NAN, 1.5, (INF, -INF)], 3: {"b": NAN, "c": [True, None, "NaN"]}}
    expected = {"a": [None, 1.5, [None, None]], "3": {"b": None, "c": [True, None, "NaN"]}}
    assert _strict(to_json(value)) == expected
    write_json(tmp_path / "a.json", value)
    assert _strict((tmp_path / "a.json").read_text()) == expected
    assert to_json({"ä": 1}, ensure_ascii=False, separators=(",", ":")) == '{"ä":1}'


def test_no_other_writer_of_json():
    """Only these two places call json.dump and json.dumps: one refuses such numbers, the other writes tags for them."""
    from pathlib import Path

    import atmnet

    sources = Path(atmnet.__file__).parent
    callers = {
        str(path.relative_to(sources))
        for path in sources.rglob("*.py")
        if "json.dump" in path.read_text(encoding="utf-8")
    }
    assert callers == {"files.py", "engine/checkpoint.py", "data/coco.py"}  # the last packs records in memory


def test_values_that_are_no_json(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", object())
    assert list(tmp_path.iterdir()) == []
