"""`atmnet env`, and the completion of shells."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from atmnet_cli import command


def test_it_says_versions_and_which_backend_runs_and_why(atmnet, monkeypatch):
    monkeypatch.delenv("ATMNET_BACKEND", raising=False)
    result = atmnet("env", "--device", "cpu")
    assert (result.status, result.err) == (0, "")
    assert f"timm {version('timm')}" in result.out
    assert "backend: numba (the fastest that can run)" in result.out
    assert "  reference: can run" in result.out
    assert "device: cpu\n" in result.out


def test_an_environment_variable_that_decides_is_named(atmnet, monkeypatch):
    monkeypatch.setenv("ATMNET_BACKEND", "reference")
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    out = atmnet("env", "--device", "cpu").out
    assert "backend: reference (by ATMNET_BACKEND)" in out
    assert "  numba: cannot run: the environment variable NUMBA_DISABLE_JIT forbids" in out
    assert "ATMNET_BACKEND=reference" in out.splitlines()[-1]


def test_a_backend_that_does_not_exist_is_said(atmnet, monkeypatch):
    monkeypatch.setenv("ATMNET_BACKEND", "cuda")
    assert "cuda: no backend has this name" in atmnet("env", "--device", "cpu").out


def test_a_device_that_cannot_be_used(atmnet):
    assert atmnet("env", "--device", "gpu0").error.startswith("device: 'gpu0' cannot be used here")


def test_the_verbose_version_is_the_same(atmnet):
    def lasting(out):
        return [line for line in out.splitlines() if not line.startswith(("cache", "environment"))]

    assert lasting(atmnet("--version", "--verbose").out) == lasting(atmnet("env").out)


@pytest.mark.skipif(sys.platform == "win32", reason="bash")
def test_bash_completes_options_and_values(tmp_path):
    pytest.importorskip("shtab")
    command_line = [sys.executable, "-m", "atmnet_cli", "--print_completion", "shtab-bash"]
    script = subprocess.run(command_line, capture_output=True, text=True, check=True).stdout
    (tmp_path / "atmnet.bash").write_text(script)

    def completed(*words: str) -> list[str]:
        program = (
            'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
            '_shtab_atmnet atmnet "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; echo "${COMPREPLY[@]}"'
        )
        arguments = ["bash", "-c", program, "bash", str(tmp_path / "atmnet.bash"), "atmnet", *words]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
        return done.stdout.split()

    assert completed("tr") == ["train"]
    assert completed("train", "--data.so") == ["--data.source"]
    assert completed("train", "--precision", "") == ["fp32", "bf16", "fp16"]


def test_completion_without_its_package(atmnet, monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    error = atmnet("--print_completion", "shtab-bash").error
    assert error.startswith("print_completion: the package shtab is not installed; ")
