"""Interleaved comparison, on runs whose cost a fake clock knows."""

import math

import pytest
import torch

from atmnet.benchmark import Spread, compare
from atmnet.threads import cpu_threads


class Machine:
    """Runs that take as long as they say, and remember that they were called."""

    def __init__(self):
        self.now = 0.0
        self.called = []

    def run(self, name, *seconds):
        """A run that takes these times in turn, then the last again and again."""
        left = list(seconds)

        def call():
            self.called.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return call

    def clock(self):
        return self.now


def test_order():
    machine = Machine()
    runs = {name: machine.run(name, 1.0) for name in "abc"}
    compare(runs, rounds=3, warmup=2, clock=machine.clock)
    assert "".join(machine.called) == "aabbcc" + "abc" * 3


def test_runs_settle():
    """Each is called once more before it is measured, and that call is not counted."""
    machine = Machine()
    runs = {"a": machine.run("a", 1.0, 9.0, 1.0, 9.0, 1.0), "b": machine.run("b", 2.0)}
    comparison = compare(runs, rounds=2, warmup=1, settle=True, clock=machine.clock)
    assert "".join(machine.called) == "ab" + "aabb" * 2
    assert comparison.seconds("a") == Spread(1, 1, 1)


def test_ratios_and_medians():
    machine = Machine()
    runs = {"a": machine.run("a", 2.0), "b": machine.run("b", 5.0)}
    comparison = compare(runs, rounds=5, clock=machine.clock)
    assert comparison.seconds("b") == Spread(5, 5, 5)
    assert comparison.ratio("b", "a") == Spread(2.5, 2.5, 2.5)
    assert comparison.ratio("a", "b") == Spread(0.4, 0.4, 0.4)


def test_ratios_are_taken_round_by_round():
    """A machine that slows down for some rounds slows both sides: their ratio stays."""
    machine = Machine()
    slowdown = [1, 4, 1, 2, 3]
    runs = {
        "a": machine.run("a", 1, *slowdown, 1),
        "b": machine.run("b", 1, *(3 * factor for factor in slowdown), 1),
    }
    comparison = compare(runs, rounds=5, warmup=1, clock=machine.clock)
    assert comparison.times == {"a": slowdown, "b": [3 * factor for factor in slowdown]}
    assert comparison.seconds("a") == Spread(2, 1, 3)
    assert comparison.ratio("b", "a") == Spread(3, 3, 3)


def test_short_runs_are_repeated():
    machine = Machine()
    runs = {"short": machine.run("short", 0.125), "long": machine.run("long", 4.0)}
    comparison = compare(runs, rounds=2, warmup=1, min_seconds=1.0, clock=machine.clock)
    assert machine.called == ["short", "long", *["short"] * 8, "long", *["short"] * 8, "long"]
    assert comparison.seconds("short").median == 0.125
    assert comparison.ratio("long", "short").median == 32


def test_the_first_call_does_not_count():
    machine = Machine()
    comparison = compare({"a": machine.run("a", 100.0, 1.0)}, rounds=4, clock=machine.clock)
    assert comparison.times["a"] == [1] * 4


def test_a_run_that_takes_no_time_ends():
    machine = Machine()
    comparison = compare({"a": machine.run("a", 0.0)}, rounds=2, warmup=1, min_seconds=1e-5, clock=machine.clock)
    assert math.isclose(comparison.seconds("a").median, 0)


def test_rounds_are_told():
    machine, seen = Machine(), []
    compare(
        {"a": machine.run("a", 1.0)},
        rounds=3,
        warmup=1,
        clock=machine.clock,
        after_round=lambda: seen.append(len(machine.called)),
    )
    assert seen == [2, 3, 4]


@pytest.mark.parametrize("number", [1, 2])
def test_threads(number):
    before = torch.get_num_threads()
    with cpu_threads(number):
        assert torch.get_num_threads() == number
    assert torch.get_num_threads() == before


def test_threads_are_left():
    before = torch.get_num_threads()
    with cpu_threads(None):
        assert torch.get_num_threads() == before
