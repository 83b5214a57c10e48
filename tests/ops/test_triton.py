"""GPU kernels: their numerics, what they compile to, who may use them; each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

triton = pytest.importorskip("triton")

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def run(*command: str, **environment: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TRITON_INTER"))}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env={**inherited, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run_tests(*names: str, **environment: str) -> None:
    options = ["-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    run("-m", "pytest", *options, *(str(HERE / name) for name in names), **environment)


def test_numerics():
    if torch.cuda.is_available():
        run_tests("triton_cases.py")
    elif tuple(map(int, triton.__version__.split(".")[:2])) < (3, 7):
        pytest.skip("triton's interpreter could not loop up to a bound known at run time before 3.7")
    else:
        run_tests("triton_cases.py", "triton_memory.py", TRITON_INTERPRET="1")


def test_compiles_for_a_gpu():
    run_tests("triton_compile.py")


def test_it_is_imported_late_and_says_why_it_cannot_run():
    program = """
import sys, torch
from atmnet.ops import _triton
here = torch.device("cpu"), torch.float32
assert _triton.unavailable_reason(*here) == "it needs a CUDA device, but the tensors are on cpu"
assert "atmnet.ops._triton._launch" not in sys.modules
_triton._installed.cache_clear()
sys.modules["triton"] = None
assert _triton.unavailable_reason(*here) == "the package triton is not installed"
"""
    run("-c", program)
