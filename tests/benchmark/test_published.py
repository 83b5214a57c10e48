"""The published formulation, which ours is measured against, equals the authors' code, and ours."""

import numpy as np
import pytest
import timm
import torch

from benchmarks import published
from tests import golden


@pytest.mark.parametrize("path", sorted(golden.FOLDER.glob("*.npz")), ids=lambda path: path.stem)
def test_outputs_and_gradients(path):
    theirs = np.load(path)
    variant, size = path.stem.split("_")[:2]
    ours = timm.create_model(f"atmnet_{variant}")
    ours.load_state_dict(golden.official_weights(ours))
    model = published.Published(ours).eval()
    model.load_state_dict(ours.state_dict())
    model.double()
    logits = model(golden.image(len(theirs["logits"]), *map(int, size.split("x"))))
    assert golden.relative_error(logits.detach(), theirs["logits"]) < 1e-9
    if "grad_names" in theirs:
        t = torch.from_numpy(golden.uniform(2 * 10**6, logits.numel())).view_as(logits)
        (logits * t).sum().backward()
        names, parameters = golden.our_names(ours), dict(model.named_parameters())
        gradients = [golden.gradient(parameters[names[str(name)]]) for name in theirs["grad_names"]]
        dots = [g @ torch.from_numpy(golden.uniform(3 * 10**6 + i, g.numel())) for i, g in enumerate(gradients)]
        assert golden.relative_error(torch.stack([g.norm() for g in gradients]), theirs["grad_norm"]) < 1e-9
        assert golden.relative_error(torch.stack(dots), theirs["grad_dot"]) < 1e-9


@pytest.mark.parametrize("variant", ["nano", "small"])
def test_equals_ours(variant):
    """Of any depth, width and interval; with offsets of a few tokens."""
    ours = timm.create_model(f"atmnet_{variant}", num_classes=7).eval()
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            if "offset.proj" in name:
                parameter.normal_(std=0.3)
    model = published.Published(ours).eval()
    model.load_state_dict(ours.state_dict())
    image = torch.randn(2, 3, 70, 101)
    with torch.no_grad():
        assert golden.relative_error(model.double()(image.double()), ours.double()(image.double())) < 1e-12


def test_build_has_the_weights_of_ours():
    torch.manual_seed(3)
    model = published.build("atmnet_nano", num_classes=4)
    torch.manual_seed(3)
    ours = timm.create_model("atmnet_nano", num_classes=4)
    for (name, a), (other, b) in zip(model.state_dict().items(), ours.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(a, b)
