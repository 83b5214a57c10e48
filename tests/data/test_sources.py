"""The table of data sources: which kinds of task each serves, and which options it takes."""

from dataclasses import fields

import pytest

from atmnet.data.sources import SOURCES, find_source, open_split
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions

READS = {
    "classification": ["folder", "table", "tar", "wds", "hfds", "digits", "pathfinder", "pairs", "scenes"],
    "multilabel": ["table"],
    "detection": ["coco", "yolo", "voc", "labelme", "cvat", "labelstudio", "scenes"],
    "segmentation": ["ade20k", "pairs", "scenes"],
}


@pytest.mark.parametrize("kind", READS)
def test_kinds(kind):
    assert [name for name, source in SOURCES.items() if kind in source.kinds] == READS[kind]
    with pytest.raises(UserError, match=rf"data.source: got 'zip'.*{', '.join(READS[kind])}"):
        open_split(DataOptions(source="zip", root="."), "train", kind)
    other = next(name for name in SOURCES if name not in READS[kind])
    expected = f"{', '.join(READS[kind])} for {kind}"
    with pytest.raises(UserError, match=rf"data.source: got '{other}', expected one of {expected}"):
        find_source(DataOptions(source=other), kind)


def test_options_exist():
    names = {field.name for field in fields(DataOptions)}
    assert all(set(source.options) <= names for source in SOURCES.values())


@pytest.mark.parametrize(
    ("source", "option", "value"),
    [
        ("digits", "root", "."),
        ("scenes", "classes", "c.txt"),
        ("folder", "ignore_zero", False),
        ("coco", "kwargs", {"a": 1}),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(source, option, value):
    with pytest.raises(UserError, match=rf"data.{option}: data.source '{source}' does not take it; leave it "):
        find_source(DataOptions(source=source, **{option: value}))


def test_a_new_source_takes_a_reader_and_a_line_in_the_table(monkeypatch):
    """What docs/architecture.md promises."""
    from atmnet.data import sources

    opened = []
    toy = sources.DataSource(("detection",), lambda *arguments: opened.append(arguments))
    monkeypatch.setitem(sources.SOURCES, "toy", toy)
    options = DataOptions(source="toy", root="somewhere")
    open_split(options, "train", "detection", ["cat"], masks=False)
    assert opened == [(options, "train", "detection", ["cat"], False)]
