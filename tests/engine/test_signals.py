"""Ctrl-C and a scheduler's SIGTERM: saved, told how to go on, and nothing lost."""

import os
import signal
import time

import pytest

from atmnet.engine import train
from atmnet.engine import trainer as training
from atmnet_cli.command import main
from tests.engine.runs import RANDOM, arguments, assert_same_run, litter, metrics, tiny
from tests.processes import Command

CHANGES = {**RANDOM, "epochs": 10, "evaluate_every": 10, "checkpoint_every": 1000, "log_every": 2}


def _wait_until(condition, command):
    deadline = time.monotonic() + 120
    while not condition() and command.is_running:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_and_gone_on(root, trained, tmp_path, number):
    """A terminal's Ctrl-C and a scheduler's SIGTERM go to the whole group: they reach the loader's processes, too."""
    parts = tiny(root, tmp_path / "parts", {**CHANGES, "data.workers": 2})
    command = Command(main, arguments(parts, tmp_path))
    _wait_until(lambda: metrics(tmp_path / "parts"), command)
    os.killpg(command.pid, number)
    status, _, errors = command.finish()
    assert status == 130
    last = errors.strip().splitlines()[-1]
    assert last.startswith("atmnet: stopped and saved after step ")
    assert last.endswith("; run the same command to resume")
    assert "Traceback" not in errors
    step = int(last.split("step ")[1].split(";")[0])
    assert 2 <= step < 30
    assert (tmp_path / "parts" / "last").resolve().name == f"step-{step:08d}"
    assert litter(tmp_path / "parts") == []

    parts.data.workers = 0
    train(parts)
    assert_same_run(trained(CHANGES), tmp_path / "parts")


def _hang(*_):
    print("hanging", flush=True)
    time.sleep(600)


def _main_that_hangs(words):
    training.Trainer._loss = _hang
    return main(words)


def test_a_second_ctrl_c_stops_at_once(root, tmp_path):
    """Even where a step takes for ever; status 130, no traceback."""
    command = Command(_main_that_hangs, arguments(tiny(root, tmp_path / "run"), tmp_path))
    _wait_until(lambda: "hanging" in command.stdout, command)
    os.kill(command.pid, signal.SIGINT)
    time.sleep(0.3)
    assert command.is_running
    for _ in range(6):  # on a busy machine the first two may arrive as one
        os.kill(command.pid, signal.SIGINT)
        if not command.is_running_after(5):
            break
    status, _, errors = command.finish()
    assert status == 130
    assert errors.split() == ["atmnet:", "interrupted"]
