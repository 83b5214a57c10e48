"""The copy for export computes what the network does, and the network never knows."""

import pytest
import torch
from torch import nn

from atmnet.export import exportable
from atmnet.layers import ATM
from tests.export.models import spread

SIZES = {"atmnet_nano": [(2, 32, 32), (1, 33, 70), (1, 14, 23)], "atmnet_xtiny": [(1, 64, 64), (2, 51, 97)]}


@pytest.mark.parametrize("name", SIZES)
def test_same_function(name):
    """In float64, so that only rounding is left; at 32 pixels, nano's last stage is a single token."""
    model = spread(name)
    plain = exportable(model).double()
    model = model.double()
    for batch, height, width in SIZES[name]:
        image = torch.randn(batch, 3, height, width, dtype=torch.float64)
        with torch.no_grad():
            torch.testing.assert_close(plain(image), model(image), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"num_classes": 0},
        {"num_classes": 0, "global_pool": ""},
        {"global_pool": "max"},
        {"features_only": True},
        {"features_only": True, "out_indices": (0, 2)},
        {"features_only": True, "stage_norms": True},
        {"in_chans": 1},
    ],
    ids=str,
)
def test_other_outputs_have_their_channels_in_order(kwargs):
    model = spread("atmnet_nano", **kwargs).double()
    plain = exportable(model).double()
    image = torch.randn(1, kwargs.get("in_chans", 3), 40, 64, dtype=torch.float64)
    model = exportable_weights_of(model)
    with torch.no_grad():
        ours, theirs = plain(image), model(image)
    if not kwargs.get("features_only"):
        ours, theirs = [ours], [theirs]
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def exportable_weights_of(model):
    """The model with its weights rounded to float32, as those of the copy are."""
    return model.float().double()


def test_inside_another_network():
    body = spread("atmnet_nano", num_classes=0)
    model = nn.Sequential(body, nn.Linear(body.num_features, 3)).eval()
    image = torch.randn(2, 3, 48, 32)
    with torch.no_grad():
        torch.testing.assert_close(exportable(model)(image), model(image), rtol=1e-4, atol=1e-5)


def test_a_network_without_atm_is_copied():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    plain = exportable(model)
    assert not plain.training
    assert model.training
    image = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(plain(image), model.eval()(image))


def test_the_network_stays_as_it_is(nano):
    """The same object with the same bits, its gradients and mode too."""
    image = torch.randn(1, 3, 32, 32)
    nano.train()
    before = {key: value.clone() for key, value in nano.state_dict().items()}
    kinds = [type(module) for module in nano.modules()]
    with torch.no_grad():
        logits = nano.eval()(image)
    nano.train()
    exportable(nano)
    assert nano.training
    assert [type(module) for module in nano.modules()] == kinds
    assert ATM in kinds
    assert all(parameter.requires_grad for parameter in nano.parameters())
    assert all(torch.equal(before[key], value) for key, value in nano.state_dict().items())
    with torch.no_grad():
        assert torch.equal(nano.eval()(image), logits)
