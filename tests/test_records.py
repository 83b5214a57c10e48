"""Whatever is in a JSON file, reading it gives values of the expected types or one line that names file and field."""

import pytest

from atmnet.records import Record, read_json
from atmnet_cli.errors import UserError

DAMAGED = {
    "empty": b"",
    "cut short": b'{"a": [1, 2',
    "not UTF-8": b'{"a": "\xff"}',
    "NaN": b'{"a": NaN}',
    "Infinity": b"[-Infinity]",
    "nested 100,000 times": b"[" * 100_000,
    "an integer of 10,000 digits": b"9" * 10_000,
    "two values": b"{} {}",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_files_give_one_line_that_names_them(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"config\.json: not ") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_large_missing_and_marked_files(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(UserError, match="No such file"):
        read_json(path)
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(path) == {"a": 1}
    with pytest.raises(UserError, match="got 11 bytes, expected at most 10"):
        read_json(path, max_bytes=10)


def test_a_message_is_bounded_whatever_a_file_says(tmp_path):
    record = Record({"x" * 10**6: {}}, "config.json")
    with pytest.raises(UserError, match=r"^config.json: x+ \.\.\. x+: a is missing, expected a string$") as caught:
        record.record("x" * 10**6).text("a")
    assert len(str(caught.value)) < 2000


WRONG = [
    ("text", (), [5, None, [], {}]),
    ("texts", (), ["a", [1], ["a", None], {}]),
    ("boolean", (), [0, "true", None]),
    ("integer", (1, 8), [0, 9, 10**400, 1.0, True, "1", None]),
    ("number", (0, 1), [-0.1, 1.1, float("nan"), float("inf"), -float("inf"), 10**400, True, "1", None, []]),
    ("numbers", (2,), [[1], [1, 2, 3], [1, float("nan")], [1, float("inf")], [1, None], 1, "12", {}]),
    ("record", (), [[], 1, "a", None]),
]


@pytest.mark.parametrize(("method", "arguments", "values"), WRONG, ids=[case[0] for case in WRONG])
def test_wrong_fields_are_named(method, arguments, values):
    with pytest.raises(UserError, match="a file: key is missing, expected"):
        getattr(Record({}, "a file"), method)("key", *arguments)
    for value in values:
        with pytest.raises(UserError, match=r"a file: key: got .*, expected") as caught:
            getattr(Record({"key": value}, "a file"), method)("key", *arguments)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [[], 1, None, "text", 10**400])
def test_what_is_no_object_is_no_record(value):
    with pytest.raises(UserError, match="expected an object"):
        Record(value, "a file")


def test_right_fields_and_defaults_come_back_as_they_are():
    record = Record({"a": "x", "b": ["x"], "c": False, "d": 3, "e": 0.5, "f": [1, 2.5], "g": {"h": 1}}, "a file")
    assert (record.text("a"), record.texts("b"), record.boolean("c"), record.integer("d")) == ("x", ["x"], False, 3)
    assert (record.number("e"), record.numbers("f", 2), record.record("g").integer("h")) == (0.5, [1, 2.5], 1)
    assert record.text("none", "") == ""
    assert record.numbers("none", 3, default=[]) == []
    assert "none" not in record
