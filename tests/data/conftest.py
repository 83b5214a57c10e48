"""Data sets to read from."""

import pytest

from tests.data.tiny import write_digits
from tests.leftovers import no_leftovers, own_temporary_folder  # noqa: F401 - fixtures


@pytest.fixture
def digits_root(tmp_path):
    return write_digits(tmp_path / "digits")
