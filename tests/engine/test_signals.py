"""Ctrl-C and a scheduler's SIGTERM: saved, told how to go on, and nothing lost."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from atmnet.engine import train
from tests.engine.commands import command
from tests.engine.runs import RANDOM, assert_same_run, litter, metrics, tiny

CHANGES = {**RANDOM, "epochs": 10, "evaluate_every": 10, "checkpoint_every": 1000, "log_every": 2}


def _start(options, tmp_path):
    """In a group of its own: a terminal's Ctrl-C and a scheduler's SIGTERM reach the loader's processes, too."""
    return subprocess.Popen(
        command(options, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _wait_for_line(process, folder):
    deadline = time.monotonic() + 120
    while not metrics(folder) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory):
    """The run that nobody stopped."""
    return train(tiny(root, tmp_path_factory.mktemp("whole") / "run", CHANGES))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_and_gone_on(root, tmp_path, whole, number):
    parts = tiny(root, tmp_path / "parts", {**CHANGES, "data.workers": 2})
    process = _start(parts, tmp_path)
    _wait_for_line(process, tmp_path / "parts")
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    told = errors.strip().splitlines()[-1]
    assert told.startswith("atmnet: stopped and saved after step ")
    assert told.endswith("; run the same command to resume")
    assert "Traceback" not in errors
    step = int(told.split("step ")[1].split(";")[0])
    assert 2 <= step < 30
    assert (tmp_path / "parts" / "last").resolve().name == f"step-{step:08d}"
    assert litter(tmp_path / "parts") == []

    parts.data.workers = 0
    train(parts)
    assert_same_run(whole, tmp_path / "parts")


def test_a_second_ctrl_c_stops_at_once(root, tmp_path):
    """Even where a step takes for ever; status 130, no traceback."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, time\n"
        "from atmnet_cli.command import main\n"
        "from atmnet.engine import trainer as training\n"
        "def hang(*_):\n"
        "    print('hanging', flush=True)\n"
        "    time.sleep(600)\n"
        "training.Trainer._loss = hang\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    arguments = command(tiny(root, tmp_path / "run"), tmp_path)[3:]
    process = subprocess.Popen(
        [sys.executable, str(script), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert any("hanging" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    for _ in range(6):  # on a busy machine the first two may arrive as one
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            _, errors = process.communicate(timeout=5)
            break
    assert process.returncode == 130
    assert errors.split() == ["atmnet:", "interrupted"]
