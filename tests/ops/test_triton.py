"""GPU kernels: their numerics, what they compile to, who may use them; each in a process of its own."""

import sys

import pytest
import torch

from tests.ops.fresh import run_tests
from tests.processes import call

triton = pytest.importorskip("triton")


def test_numerics(tmp_path):
    if torch.cuda.is_available():
        run_tests(tmp_path, "triton_cases.py")
    elif tuple(map(int, triton.__version__.split(".")[:2])) < (3, 7):
        pytest.skip("triton's interpreter could not loop up to a bound known at run time before 3.7")
    else:
        run_tests(tmp_path, "triton_cases.py", "triton_memory.py", TRITON_INTERPRET="1")


def test_compiles_for_a_gpu(tmp_path):
    run_tests(tmp_path, "triton_compile.py")


@pytest.mark.slow
def test_compiles_for_a_gpu_with_all_types_and_tiles(tmp_path):
    run_tests(tmp_path, "triton_compile.py", ATMNET_TEST_LONG="1")


def _ask_whether_it_can_run():
    from atmnet.ops import _triton

    here = torch.device("cpu"), torch.float32
    assert _triton.unavailable_reason(*here) == "it needs a CUDA device, but the tensors are on cpu"
    assert "atmnet.ops._triton._launch" not in sys.modules
    _triton._installed.cache_clear()
    sys.modules["triton"] = None
    assert _triton.unavailable_reason(*here) == "the package triton is not installed"


def test_it_is_imported_late_and_says_why_it_cannot_run():
    assert call(_ask_whether_it_can_run) == 0
