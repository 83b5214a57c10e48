"""What training relies on: initial values, stochastic depth, gradient checkpointing, a new head."""

import math

import pytest
import timm
import torch
from timm.layers import DropPath
from torch import nn

from atmnet.layers import OffsetPredictor
from tests.models.build import build


def test_initial_values():
    model = timm.create_model("atmnet_xtiny")
    for name, module in model.named_modules():
        if isinstance(module, nn.LayerNorm):
            assert module.eps == 1e-5
            assert (module.weight == 1).all()
        elif isinstance(module, nn.Linear | nn.Conv2d):
            std = 0.02
            if isinstance(module, nn.Conv2d):
                std = math.sqrt(2 * module.groups / (math.prod(module.kernel_size) * module.out_channels))
            # The spread of n samples is itself known to 1 / sqrt(2 n); five of these, over some 100 layers.
            n = module.weight.numel()
            assert module.weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * n)), name
            assert abs(module.weight.mean().item()) < 5 * std / math.sqrt(n), name
        else:
            continue
        assert module.bias is None or not module.bias.any(), name


def test_only_the_identity_branch_has_no_bias():
    model = timm.create_model("atmnet_nano", device="meta")
    without = {n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, nn.Linear) and m.bias is None}
    assert without == {"identity"}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_seed_decides(seed):
    states = []
    for _ in range(2):
        torch.manual_seed(seed)
        states.append(timm.create_model("atmnet_nano").state_dict())
    assert all(value.equal(states[1][key]) for key, value in states[0].items())


def test_a_fresh_network_learns_its_offsets():
    """Offsets start near zero, where interpolation has a kink; their gradients must not vanish there."""
    model = timm.create_model("atmnet_nano")
    for module in model.modules():
        if isinstance(module, OffsetPredictor):
            nn.init.zeros_(module.proj.weight)
    model(torch.randn(2, 3, 64, 64)).square().sum().backward()
    predictors = [m for m in model.modules() if isinstance(m, OffsetPredictor)]
    assert len(predictors) == 4
    assert all(m.proj.weight.grad.any() and m.proj.bias.grad.any() for m in predictors)


def test_drop_path_rates_grow_linearly():
    model = timm.create_model("atmnet_xtiny", drop_path_rate=0.3, device="meta")
    rates = [
        getattr(block.drop_path, "drop_prob", 0.0)
        for stage in model.stages
        for group in stage.groups
        for block in group.blocks
    ]
    assert rates == pytest.approx([0.3 * i / 9 for i in range(10)])


def test_drop_path_in_training_only():
    plain, model = build(), build(drop_path_rate=0.5)
    image = torch.randn(2, 3, 32, 32)
    assert any(isinstance(module, DropPath) for module in model.modules())
    assert model(image).equal(plain(image))
    model.train()
    outs = [model(image) for _ in range(3)]
    assert not (outs[0].equal(outs[1]) and outs[1].equal(outs[2]))
    assert plain.train()(image).equal(plain.eval()(image))  # nothing else is random


@pytest.mark.parametrize("features_only", [False, True])
def test_checkpointing_changes_no_gradient(features_only):
    model, image = build(drop_path_rate=0.5).train(), torch.randn(2, 3, 40, 32)
    runs = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        torch.manual_seed(1)  # the same images skip the same blocks, in the recomputation too
        if features_only:
            loss = sum(y.square().mean() for y in model.forward_intermediates(image, intermediates_only=True))
            parameters = [p for n, p in model.named_parameters() if not n.startswith(("norm", "head"))]
        else:
            loss, parameters = model(image).square().sum(), list(model.parameters())
        runs.append((loss, *torch.autograd.grad(loss, parameters)))
    torch.testing.assert_close(*runs)


def test_checkpointing_recomputes():
    model, image = build(), torch.randn(1, 3, 32, 32)
    calls = []
    for stage in model.stages:
        for group in stage.groups:
            for block in group.blocks:
                block.register_forward_pre_hook(lambda *_: calls.append(1))
    for enable, expected in ((False, 8), (True, 16)):
        calls.clear()
        model.set_grad_checkpointing(enable)
        model(image).sum().backward()
        assert len(calls) == expected


@pytest.mark.parametrize("num_classes", [7, 0])
def test_reset_classifier(num_classes):
    model, image = build(), torch.randn(2, 3, 32, 32)
    pooled = model.forward_head(model.forward_features(image), pre_logits=True)
    model.reset_classifier(num_classes)
    assert model.num_classes == num_classes
    assert model.get_classifier() is model.head.fc
    out = model(image)
    if num_classes:
        assert out.shape == (2, num_classes)
        assert model.get_classifier().out_features == num_classes
    else:
        assert out.equal(pooled)
    model.reset_classifier(num_classes, "")
    assert model(image).shape == (2, 1, 1, num_classes or 128)


@pytest.mark.parametrize("depths", [(1, 2, 2, 2), (2, 2, 2, 1)])
def test_a_stage_of_one_block_has_no_offsets(depths):
    with pytest.raises(ValueError, match=r"^depth: got 1, expected at least 2"):
        timm.create_model("atmnet_nano", depths=depths)


def test_share_must_divide_the_channels():
    with pytest.raises(ValueError, match=r"^share: got 5, expected a divisor of dim=64"):
        timm.create_model("atmnet_nano", shares=(2, 5, 4, 8))
