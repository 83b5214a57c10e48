"""How the threads of a command wait for each other."""

import os
import subprocess
import sys

import pytest

from atmnet_cli import waiting
from atmnet_cli.own_modules import VARIABLE
from atmnet_cli.waiting import let_waiting_threads_sleep

#: A module of the user's, which a command imports before anything that imports PyTorch.
PROBE = """
import os, sys
raise ValueError(f"policy {os.environ.get('OMP_WAIT_POLICY')}, torch {'torch' in sys.modules}")
"""


def _run(*arguments, **environment):
    """Run a command in a new process in which the user has set only ``environment`` of OpenMP's variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    command = [sys.executable, "-m", "atmnet_cli", *arguments]
    return subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("command", "environment", "policy"),
    [
        ("models", {"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"),
        ("models", {"GOMP_SPINCOUNT": "1000"}, None),
        ("env", {}, None),  # it says how programs of users run
    ],
)
def test_the_user_decides(tmp_path, command, environment, policy):
    (tmp_path / "probe.py").write_text(PROBE)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    error = _run(command, **environment, **{VARIABLE: "probe", "PYTHONPATH": path}).stderr
    assert f"policy {policy}, torch False" in error


@pytest.mark.parametrize(
    ("load", "policy"),
    [
        ("1.00 0.5 0.5 2/80 4711", "PASSIVE"),
        ("1.00 0.5 0.5 1/80 4711", None),  # what was busy has ended
        ("0.10 0.5 0.5 3/80 4711", None),  # for a moment
        ("1.00 a-b", None),
        (None, None),
    ],
)
def test_waiting_threads_sleep_on_a_busy_machine(tmp_path, monkeypatch, load, policy):
    for name in waiting._VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is as before in the end
        monkeypatch.delenv(name)
    monkeypatch.setattr(waiting.sys, "modules", {})
    if load is not None:
        (tmp_path / "loadavg").write_text(load)
    let_waiting_threads_sleep(tmp_path / "loadavg")
    assert os.environ.get("OMP_WAIT_POLICY") == policy


def test_a_program_that_has_imported_pytorch_keeps_its_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    (tmp_path / "loadavg").write_text("9.00 9.00 9.00 9/80 4711")
    let_waiting_threads_sleep(tmp_path / "loadavg")
    assert "OMP_WAIT_POLICY" not in os.environ
