"""The models equal the authors' own code: weights, inputs and outputs of golden/."""

import pytest
import torch

from tests import golden

TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-5}


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("path", sorted(golden.FOLDER.glob("*.npz")), ids=lambda path: path.stem)
def test_outputs_and_gradients(path, dtype):
    errors = golden.errors(path, dtype)
    assert len(errors) == (11 if path.stem.endswith("_grad") else 9)
    assert {what: error for what, error in errors.items() if not error < TOLERANCE[dtype]} == {}
