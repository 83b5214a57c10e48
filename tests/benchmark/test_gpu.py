"""The command for machines with a GPU: what it begins, and what it leaves for the next time."""

import sys

import pytest

from benchmarks import gpu
from benchmarks.gpu import Part


@pytest.fixture
def given(monkeypatch):
    """Put these parts in the place of the real ones."""
    return lambda *parts: monkeypatch.setattr(gpu, "parts", lambda *_: parts)


def _program(name, program, seconds=1, **options):
    return Part(name, ["-c", program], seconds, **options)


def _run(folder, *arguments):
    return gpu.main(["--quick", "--folder", str(folder), *arguments])


def test_what_has_ended_well_is_not_done_again(given, tmp_path, capsys):
    count = f"open({str(tmp_path / 'count')!r}, 'a').write('.')"
    flaky = f"import pathlib; raise SystemExit(not pathlib.Path({str(tmp_path / 'mended')!r}).exists())"
    given(_program("counts", count, alone=False), _program("fails", flaky), _program("after", count))
    assert _run(tmp_path / "gpu") == 1
    assert capsys.readouterr().out == "done: counts, after\nfailed: fails\n"
    (tmp_path / "mended").touch()
    assert _run(tmp_path / "gpu") == 0
    assert capsys.readouterr().out == "done before: counts, after\ndone: fails\n"
    assert (tmp_path / "count").read_text() == ".."


def test_a_part_that_may_not_end_in_time_is_left(given, tmp_path, capsys):
    given(_program("long", "", 100), _program("slow", "import time; time.sleep(60)"), _program("late", ""))
    assert _run(tmp_path, "--seconds", "2") == 3
    assert capsys.readouterr().out == "left: long, slow, late\n"
    assert _run(tmp_path, "--seconds", "110", "--parts", "long", "late") == 0


def test_output_and_environment(given, tmp_path):
    program = "import os, sys; print(os.environ['WORD']); print('why', file=sys.stderr)"
    given(Part("prints", [sys.executable, "-c", program], 1, environment={"WORD": "hello"}))
    assert _run(tmp_path) == 0
    assert (tmp_path / "prints.txt").read_text() == "hello\nwhy\n"


def test_an_unknown_part(tmp_path, capsys):
    with pytest.raises(SystemExit):
        _run(tmp_path, "--parts", "kernel")
    assert "argument --parts: got 'kernel', expected some of: tests, " in capsys.readouterr().err
