"""Parameters and multiply-accumulates are those that were published."""

import pytest
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from atmnet.layers import ATM

# Parameters, GMACs at 224 and at 384 of the authors' code; nano is ours.
SIZES = {
    "xtiny": (15_349_128, 2.168, 6.369),
    "tiny": (27_152_232, 3.954, 11.616),
    "small": (38_631_448, 6.888, 20.237),
    "base": (52_154_792, 10.113, 29.711),
    "large": (76_238_032, 12.348, 36.276),
}
NANO_PARAMETERS = 1_015_130


def on_meta(variant: str, **kwargs) -> torch.nn.Module:
    return timm.create_model(f"atmnet_{variant}", device="meta", **kwargs).eval()


@pytest.mark.parametrize("variant", [*SIZES, "nano"])
def test_parameters(variant):
    expected = SIZES[variant][0] if variant in SIZES else NANO_PARAMETERS
    assert sum(p.numel() for p in on_meta(variant).parameters()) == expected


@pytest.mark.parametrize("variant", SIZES)
def test_macs(variant):
    """For the plain form, as published: sampling is not counted, nor are norms."""
    model = on_meta(variant)
    for module in model.modules():
        if isinstance(module, ATM):
            module.fold = False
    # Counting takes as long as running: at 384, the smallest and the largest are counted.
    sizes = (224, 384) if variant in ("xtiny", "large") else (224,)
    for size, expected in zip(sizes, SIZES[variant][1:], strict=False):
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 3, size, size, device="meta"))
        gmacs = counter.get_total_flops() / 2e9  # it counts a multiply and an add as two
        assert gmacs == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("variant", [*SIZES, "nano"])
def test_registered(variant):
    name = f"atmnet_{variant}"
    assert timm.is_model(name)
    assert name in timm.list_models("atmnet_*")
    assert name not in timm.list_models("atmnet_*", pretrained=True)  # none come with this package


def test_the_384_configurations_are_known():
    config = timm.get_pretrained_cfg("atmnet_large.in1k_384")
    assert config.input_size == (3, 384, 384)
    assert timm.get_pretrained_cfg("atmnet_large").input_size == (3, 224, 224)
