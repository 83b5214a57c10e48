"""Data sets to read from."""

import pytest

from tests.data.tiny import write_digits


@pytest.fixture
def digits_root(tmp_path):
    return write_digits(tmp_path / "digits")
