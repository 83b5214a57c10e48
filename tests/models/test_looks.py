"""Where a network looks: one Look for each prediction of offsets, and no trace left."""

import pytest
import torch
from torch import nn

from atmnet.layers import OffsetPredictor
from atmnet.models import sampling_places
from tests.models.build import build


@pytest.mark.parametrize("variant", ["nano", "xtiny"])
def test_one_look_a_group(variant):
    model = build(variant)
    looks = sampling_places(model, torch.randn(2, 3, 64, 48))
    names = [f"stages.{i}.groups.{g}.offset" for i, stage in enumerate(model.stages) for g in range(len(stage.groups))]
    assert [look.name for look in looks] == names

    grids = [(16, 12), (8, 6), (4, 3), (2, 2)]
    for look in looks:
        stage = int(look.name.split(".")[1])
        groups = model.feature_info[stage]["num_chs"] // (2, 4, 4, 8)[stage]
        assert look.width.shape == look.height.shape == (2, *grids[stage], groups)
        assert not look.width.requires_grad


def test_width_and_height_are_not_confused():
    model, image = build(), torch.randn(1, 3, 64, 64)
    predictor = model.stages[0].groups[0].offset
    nn.init.zeros_(predictor.proj.weight)
    with torch.no_grad():
        predictor.proj.bias.copy_(torch.tensor([3.0, -1.0]).repeat_interleave(16))
    look = sampling_places(model, image)[0]
    assert (look.width == 3).all()
    assert (look.height == -1).all()


@pytest.mark.parametrize("training", [False, True])
def test_it_leaves_no_trace(training):
    model = build().train(training)
    image = torch.randn(1, 3, 32, 32)
    expected = model(image)
    sampling_places(model, image)
    assert model.training is training
    assert not any(module._forward_hooks for module in model.modules())
    assert model(image).equal(expected)
    assert all(p.grad is None for p in model.parameters())


def test_no_hooks_are_left_when_the_model_fails():
    model = build()
    with pytest.raises(RuntimeError):
        sampling_places(model, torch.randn(1, 4, 32, 32))
    assert not any(module._forward_hooks for module in model.modules())


def test_inside_another_module():
    model = nn.Sequential(nn.Identity(), build())
    looks = sampling_places(model, torch.randn(1, 3, 32, 32))
    assert [look.name for look in looks] == [n for n, m in model.named_modules() if isinstance(m, OffsetPredictor)]
    assert looks[0].name.startswith("1.stages.0.")
