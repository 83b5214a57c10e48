"""How the threads of a command wait for each other."""

import os
import re
import subprocess
import sys

import pytest
import torch

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
        ("models", {}, "PASSIVE"),
        ("models", {"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"),
        ("models", {"GOMP_SPINCOUNT": "1000"}, None),
        ("env", {}, None),  # it says how programs of users run
    ],
)
def test_waiting_threads_sleep_unless_the_user_decides(tmp_path, command, environment, policy):
    (tmp_path / "probe.py").write_text(PROBE)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    error = _run(command, **environment, **{VARIABLE: "probe", "PYTHONPATH": path}).stderr
    assert f"policy {policy}, torch False" in error


@pytest.mark.slow
@pytest.mark.skipif(
    not (sys.platform == "linux" and torch.backends.openmp.is_available()), reason="GCC's runtime reports its settings"
)
def test_pytorch_starts_with_the_setting():
    command = _run("models", "--img_size=32", OMP_DISPLAY_ENV="TRUE")
    assert command.returncode == 0
    assert set(re.findall(r"OMP_WAIT_POLICY = '(\w+)'", command.stderr)) == {"PASSIVE"}


def test_a_program_that_has_imported_pytorch_keeps_its_environment(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    let_waiting_threads_sleep()
    assert "OMP_WAIT_POLICY" not in os.environ
