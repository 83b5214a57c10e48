"""Every test that takes ``backend`` runs once for each backend that this machine has."""

import pytest
import torch

from atmnet.ops import available_backends


@pytest.fixture(params=available_backends(torch.empty(1)))
def backend(request) -> str:
    return request.param
