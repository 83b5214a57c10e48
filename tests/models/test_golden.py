"""The models equal the authors' own code: weights, inputs and outputs of golden/."""

import numpy as np
import pytest
import timm
import torch

from tests import golden

TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-5}


def _close(ours, theirs, dtype, what):
    error = golden.relative_error(ours, theirs)
    assert error < TOLERANCE[dtype], f"{what}: relative error {error:.2e}"


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("path", sorted(golden.FOLDER.glob("*.npz")), ids=lambda path: path.stem)
def test_outputs_and_gradients(path, dtype):
    theirs = np.load(path)
    variant, size = path.stem.split("_")[:2]
    model = timm.create_model(f"atmnet_{variant}").eval()
    model.load_state_dict(golden.official_weights(model))
    model.to(dtype)

    image = golden.image(len(theirs["logits"]), *map(int, size.split("x"))).to(dtype)
    with torch.no_grad():
        maps = model.forward_intermediates(image, output_fmt="NHWC", intermediates_only=True)
    for i, tokens in enumerate(maps):
        assert tuple(tokens.shape) in (
            tuple(theirs[f"stage{i}_shape"]),
            tuple(theirs[f"stage{i}_shape"][[0, 2, 3, 1]]),
        )
        _close(tokens.mean((1, 2)), theirs[f"stage{i}_mean"], dtype, f"stage {i} mean")
        _close(tokens.std((1, 2)), theirs[f"stage{i}_std"], dtype, f"stage {i} std")
    logits = model(image)
    _close(logits.detach(), theirs["logits"], dtype, "logits")

    if "grad_names" in theirs:
        t = torch.from_numpy(golden.uniform(2 * 10**6, logits.numel())).to(dtype).view_as(logits)
        (logits * t).sum().backward()
        ours, parameters = golden.our_names(model), dict(model.named_parameters())
        grads = [golden.gradient(parameters[ours[str(name)]]) for name in theirs["grad_names"]]
        dots = [g @ torch.from_numpy(golden.uniform(3 * 10**6 + i, g.numel())) for i, g in enumerate(grads)]
        norms = [g.norm() for g in grads]
        _close(torch.stack(norms), theirs["grad_norm"], dtype, "gradient norms")
        _close(torch.stack(dots), theirs["grad_dot"], dtype, "gradient dots")
