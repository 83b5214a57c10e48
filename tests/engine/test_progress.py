"""What people see: a bar on a terminal; in a pipe a line now and then, and no control characters."""

import io

import pytest

from atmnet.engine import progress
from atmnet.engine.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def _run(shown, clock, steps=100, seconds=0.25):
    for step in range(steps):
        clock[0] += seconds
        shown.advance(f"loss {step}" if shown.due() else None)
    shown.print_line("a remark")
    shown.close()


def test_in_a_pipe(clock):
    stream = io.StringIO()
    _run(Progress("step", 100, stream=stream), clock)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 5  # in 25 seconds, and the remark
    assert lines[0] == "step 21/100 loss 20"
    assert lines[-1] == "a remark"
    assert "\r" not in stream.getvalue()


def test_after_a_resume(clock):
    stream = io.StringIO()
    _run(Progress("step", 100, done=60, stream=stream), clock, steps=30)
    assert stream.getvalue().startswith("step 81/100 ")


def test_on_a_terminal(clock):
    stream = Terminal()
    _run(Progress("step", 100, stream=stream), clock)
    assert "step: " in stream.getvalue()
    assert "loss" in stream.getvalue()
    assert "a remark\n" in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_other_processes_are_silent(clock, stream):
    shown = Progress("step", 100, show=False, stream=stream)
    _run(shown, clock)
    assert stream.getvalue() == ""
