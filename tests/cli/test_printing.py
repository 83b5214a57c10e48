"""Names that anybody may choose are printed on one line, without controls, and in any encoding."""

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import atmnet
from atmnet.cli.checkpoint_note import note_checkpoint
from atmnet_cli.printing import ERROR, printable, write_line

SOURCES = Path(atmnet.__file__).parents[1]
#: Bytes of file names: not UTF-8, an escape sequence, a line break, and a mark that reverses the text after it.
HOSTILE = (b"caf\xe9", b"red\x1b[31m", b"two\nlines", b"\xe2\x80\xaegnp.", b"\xc2\x9b2J", b"-dash", "né 図 🐈".encode())
SHOWN = ("caf\\udce9", "red\\u001b[31m", "two\\nlines", "\\u202egnp.", "\\u009b2J", "-dash", "né 図 🐈")


@pytest.mark.parametrize(("name", "shown"), list(zip(HOSTILE, SHOWN, strict=True)), ids=list(map(repr, HOSTILE)))
def test_printable(name, shown):
    text = os.fsdecode(name)
    assert printable(text) == shown
    assert json.loads(f'"{printable(text)}"') == text
    assert printable(printable(text)) == shown
    assert printable(text, "ascii").isascii()
    assert json.loads(f'"{printable(text, "cp1252")}"') == text


@pytest.mark.parametrize("text", ["क्‍ष", "می‌خواهم", "a\u202fb", "ﬀ é ñ"])
def test_words_stay_as_they_are(text):
    assert printable(text) == text


def test_a_closed_stream_takes_no_line():
    write_line("x", None)
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    write_line("né", stream)
    assert stream.buffer.getvalue() == b"n\\u00e9\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("settings", "stream", "expected"),
    [
        ({}, Terminal(), "\x1b[31ma\\u001b[0m\x1b[0m\n"),
        ({"NO_COLOR": "1"}, Terminal(), "a\\u001b[0m\n"),
        ({"TERM": "dumb"}, Terminal(), "a\\u001b[0m\n"),
        ({}, io.StringIO(), "a\\u001b[0m\n"),
    ],
    ids=["terminal", "NO_COLOR", "dumb", "pipe"],
)
def test_colour_only_where_a_terminal_takes_it(settings, stream, expected, monkeypatch):
    """The escape sequence of a name stays text."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    write_line("a\x1b[0m", stream, ERROR)
    assert stream.getvalue() == expected


def test_on_a_terminal_the_checkpoint_of_a_run_is_said(run, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    note_checkpoint(str(run))
    step = (run / "best").resolve().name
    assert terminal.getvalue() == f"atmnet: {run}: using {step}, its best checkpoint\n"
    note_checkpoint(str(run / "checkpoints" / step))
    note_checkpoint("atmnet_nano")
    assert terminal.getvalue().count("\n") == 1


def test_nothing_else_prints():
    """Whatever the package shows goes through one module."""
    for path in [*SOURCES.glob("atmnet/**/*.py"), *SOURCES.glob("atmnet_cli/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_print = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            assert not is_print, f"{path}: use atmnet_cli.printing"


def spoil(root):
    """Give hostile names to training images of 'two' and to the class 'five'; returns the image's names."""
    folder = os.fsencode(root / "train" / "two")
    names = [name + b".png" for name in HOSTILE]
    for old, new in zip(sorted(os.listdir(folder)), names, strict=False):
        os.rename(os.path.join(folder, old), os.path.join(folder, new))
    broken = os.path.join(folder, names[1])
    Path(os.fsdecode(broken)).write_bytes(b"no picture")
    for split in ("train", "val"):
        os.rename(os.fsencode(root / split / "five"), os.fsencode(root / split) + b"/f\xefve\x1b[1m")
    return list(map(os.fsdecode, names))


def assert_harmless(text):
    assert text.replace("\n", "").isprintable()


def test_check_data(root, atmnet):
    spoil(root)
    result = atmnet("check-data", "--data.root", root)
    assert result.status == 1
    assert_harmless(result.out)
    assert "two/red\\u001b[31m.png (not a picture" in result.out


def test_predict(run, root, atmnet, tmp_path):
    names = spoil(root)
    result = atmnet("predict", run, root / "train" / "two", "--sheet", tmp_path / "sheet.png")
    assert result.status == 1
    assert_harmless(result.out + result.err)
    assert len(result.out.splitlines()) == 8, "no picture after a strange name is lost"
    assert (tmp_path / "sheet.png").is_file()
    result = atmnet("predict", run, root / "train" / "two", "--format", "jsonl")
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert {Path(line["image"]).name for line in lines} >= set(names)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_terminals(encoding):
    """In a process of its own, whose terminal has that encoding."""
    code = (
        f"import os\nfrom atmnet_cli.printing import print_line\nfor name in {HOSTILE}: print_line(os.fsdecode(name))"
    )
    env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(SOURCES)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    lines = done.stdout.decode(encoding).splitlines()
    assert [json.loads(f'"{line}"') for line in lines] == list(map(os.fsdecode, HOSTILE))


def test_trained_evaluated_and_exported(quick, root, atmnet, tmp_path):
    """Class names that are no text survive training, evaluation with a report, and metadata."""
    spoil(root)
    result = atmnet(*quick, "--data.max_unreadable=0.5")
    assert result.status == 0, result
    assert_harmless(result.out + result.err)
    assert "red\\u001b[31m.png" in result.err
    names = json.loads((tmp_path / "run" / "best" / "config.json").read_text())["label_names"]
    assert names == ["eight", "f\udcefve\x1b[1m", "two"]
    report = tmp_path / "report.html"
    result = atmnet("evaluate", tmp_path / "run", "--report", report)
    assert result.status == 0, result
    page = report.read_text(encoding="utf-8")
    assert "f\\udcefve\\u001b[1m" in page
    assert "\x1b" not in page


def test_errors(atmnet, tmp_path):
    assert_harmless(atmnet("evaluate", "a\x1b]0;title\x07b").error)
    assert "no\\u001b[31mpe" in atmnet("check-data", "--data.root", tmp_path / "no\x1b[31mpe").error
    assert "\\u202e" in atmnet("check-data", "--data.root", tmp_path / "\u202etxt").error
