"""Shared fixtures; importing atmnet registers its models with timm."""

import pytest
import torch

import atmnet  # noqa: F401


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)
