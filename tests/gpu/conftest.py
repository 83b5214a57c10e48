"""Everything in this folder needs a CUDA device, is marked `gpu`, and is skipped where there is none."""

from pathlib import Path

import pytest
import torch

from tests.data.tiny import write_digits

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            # Machines with a GPU have versions of their own, whose deprecations say nothing about this project.
            item.add_marker(pytest.mark.filterwarnings("default"))
            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def _full_float32(monkeypatch):
    """PyTorch lets convolutions round float32 to TF32, which no comparison with a CPU would survive."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.compiler.reset()


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Digits in folders; shared between tests, so no test changes them."""
    return write_digits(tmp_path_factory.mktemp("digits"))
