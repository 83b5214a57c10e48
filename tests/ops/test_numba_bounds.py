"""No kernel touches memory outside its arrays: by numba's checks of every index, and by pages that nobody may touch."""

import json
import signal
import sys

import pytest
import torch

from atmnet.ops import available_backends
from tests.ops import numba_guard
from tests.ops.fresh import run_tests
from tests.processes import Command

pytestmark = pytest.mark.skipif("numba" not in available_backends(torch.empty(1)), reason="needs numba")


def test_random_cases(tmp_path):
    assert "3 passed" in run_tests(tmp_path, "numba_bounds.py", NUMBA_BOUNDSCHECK="1")


@pytest.mark.slow
def test_many_random_cases(tmp_path):
    assert "3 passed" in run_tests(tmp_path, "numba_bounds.py", NUMBA_BOUNDSCHECK="1", ATMNET_TEST_LONG="1")


@pytest.mark.skipif(sys.platform != "linux", reason="protects pages and reads exit statuses as Linux does")
def test_machine_code_beside_forbidden_pages():
    """It does not touch them; and it would be noticed, for each of its arrays, at both ends."""
    status, printed, errors = Command(numba_guard.main).finish()
    assert status == 0, errors
    ended = json.loads(printed)
    assert len(ended) == 2 * (3 + 5)
    assert set(ended.values()) == {-signal.SIGSEGV}, ended
