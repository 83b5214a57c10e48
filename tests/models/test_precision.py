"""Half precision, of the model and by autocast, stays close to float32."""

import pytest
import timm
import torch

from tests import golden
from tests.models.build import build

TOLERANCE = {torch.bfloat16: 3e-2, torch.float16: 3e-3}


@pytest.fixture(scope="module")
def image():
    return golden.image(2, 64, 48).float()


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("autocast", [False, True], ids=["model", "autocast"])
def test_close_to_float32(image, dtype, autocast):
    model = build()
    with torch.no_grad():
        expected = model(image)
        if autocast:
            with torch.autocast("cpu", dtype=dtype):
                out = model(image)
        else:
            out = model.to(dtype)(image.to(dtype))
    assert out.dtype == dtype
    assert out.isfinite().all()
    assert golden.relative_error(out.float(), expected) < TOLERANCE[dtype]


@pytest.mark.parametrize(("dtype", "least"), [(torch.bfloat16, 0.95), (torch.float16, 0.995)], ids=str)
def test_gradients_under_autocast(image, dtype, least):
    """Rounding moves some tokens across a kink of the interpolation, where gradients jump: so only their direction."""
    model = build()
    exact = torch.autograd.grad(model(image).square().sum(), list(model.parameters()))
    with torch.autocast("cpu", dtype=dtype):
        loss = model(image).float().square().sum()
    ours = torch.autograd.grad(loss, list(model.parameters()))
    assert all(gradient.dtype == torch.float32 for gradient in ours)
    whole = [torch.cat([g.flatten() for g in gradients]) for gradients in (ours, exact)]
    assert torch.cosine_similarity(*whole, dim=0) > least


def test_created_in_a_dtype():
    model = timm.create_model("atmnet_nano", dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    model.reset_classifier(0)
    model.reset_classifier(7)  # there is no old classifier left to take the dtype from
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
