"""segmentation_models_pytorch finds our backbones through timm, as ``tu-atmnet_*``."""

import pytest
import timm
import torch

from tests.models.build import build

smp = pytest.importorskip("segmentation_models_pytorch")

CLASSES = 5


@pytest.mark.parametrize("variant", ["nano", "tiny"])
@pytest.mark.parametrize("architecture", ["Unet", "FPN", "UPerNet"])
def test_it_trains(variant, architecture):
    model = getattr(smp, architecture)(f"tu-atmnet_{variant}", encoder_weights=None, classes=CLASSES)
    output = model(torch.randn(2, 3, 64, 96))
    assert output.shape == (2, CLASSES, 64, 96)
    output.square().mean().backward()
    for name, parameter in model.encoder.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), f"{name}: all of its gradient is 0"


@pytest.mark.parametrize("side", [(32, 32), (96, 224)])
def test_any_multiple_of_32(side):
    model = smp.FPN("tu-atmnet_nano", encoder_weights=None, classes=CLASSES).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, *side)).shape == (1, CLASSES, *side)


def test_the_encoder_gives_our_maps():
    encoder = smp.encoders.get_encoder("tu-atmnet_nano", weights=None).eval()
    ours = timm.create_model("atmnet_nano", features_only=True).eval()
    ours.load_state_dict(encoder.model.state_dict())
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = encoder(image)
        assert all(a.equal(b) for a, b in zip(maps[2:], ours(image), strict=True))
    assert encoder.out_channels == [3, 0, 32, 64, 96, 128]
    assert [tuple(y.shape[2:]) for y in maps] == [(64, 96), (32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]


def test_a_classifiers_weights_and_norms_of_the_stages():
    model = smp.Unet("tu-atmnet_nano", encoder_weights=None, classes=CLASSES).eval()
    ours = timm.create_model("atmnet_nano", features_only=True, stage_norms=True)
    ours.load_state_dict(build().state_dict())
    model.encoder.model = ours
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        maps = model.encoder(image)[2:]
        assert all(y.mean(1).abs().max() < 1e-4 for y in maps), "the stages' norms are not applied"
        assert model(image).shape == (1, CLASSES, 64, 64)
