"""Any timm model becomes a pyramid, and starts from the weights of a classifier."""

from itertools import pairwise

import pytest
import timm
import torch
from timm.layers import DropPath
from timm.models._features import FeatureGetterNet
from torch import nn

from atmnet.tasks.pyramid import Pyramid, load_body
from atmnet_cli.errors import UserError
from tests import golden


class Dense(nn.Module):
    """A dense network as far as its backbone goes."""

    def __init__(self, name: str = "atmnet_nano", **kwargs) -> None:
        super().__init__()
        self.backbone = Pyramid(name, channels=16, **kwargs)


def sizes(levels) -> list[tuple[int, ...]]:
    return [tuple(level.shape[1:]) for level in levels.values()]


@pytest.mark.parametrize("neck", ["fpn", "atmfpn", "atmfpn_aligned"])
@pytest.mark.parametrize("name", ["atmnet_nano", "test_resnet", "test_convnext", "test_efficientnet", "test_byobnet"])
def test_maps_of_four_strides(name, neck):
    pyramid = Pyramid(name, neck=neck, channels=16, extra="pool")
    assert pyramid.out_channels == 16
    assert pyramid.strides == [4, 8, 16, 32]
    levels = pyramid(torch.randn(2, 3, 64, 96))
    assert list(levels) == ["0", "1", "2", "3", "pool"]
    assert sizes(levels) == [(16, 16, 24), (16, 8, 12), (16, 4, 6), (16, 2, 3), (16, 1, 2)]
    sum(level.square().sum() for level in levels.values()).backward()
    unused = [key for key, p in pyramid.named_parameters() if p.grad is None]
    assert not unused  # processes that average gradients wait for all of them


def test_a_plain_transformer_has_one_stride():
    pyramid = Pyramid("test_vit", channels=16, kwargs={"img_size": 64})
    assert pyramid.strides == [16]
    assert sizes(pyramid(torch.randn(1, 3, 64, 64))) == [(16, 4, 4)]


@pytest.mark.parametrize(
    ("extra", "p6_inputs"), [("p6p7", 16), ("p6p7_from_c5", 128)], ids=["from the neck", "from the backbone"]
)
def test_more_levels_without_the_finest(extra, p6_inputs):
    pyramid = Pyramid("atmnet_nano", channels=16, extra=extra, first_stride=8)
    assert pyramid.strides == [8, 16, 32]
    levels = pyramid(torch.randn(1, 3, 64, 96))
    assert list(levels) == ["0", "1", "2", "p6", "p7"]
    assert sizes(levels) == [(16, 8, 12), (16, 4, 6), (16, 2, 3), (16, 1, 2), (16, 1, 1)]
    assert pyramid.neck.extra_blocks.p6.in_channels == p6_inputs
    sum(level.square().sum() for level in levels.values()).backward()
    assert all(p.grad is not None for p in pyramid.parameters())


@pytest.mark.parametrize("size", [(33, 65), (31, 400), (32, 32)])
def test_odd_sizes(size):
    levels = list(Pyramid("atmnet_nano", neck="atmfpn", channels=16)(torch.randn(1, 3, *size)).values())
    assert all(coarse.shape[-1] <= fine.shape[-1] for fine, coarse in pairwise(levels))


def test_without_a_neck_an_atmnets_maps_are_normalised():
    pyramid = Pyramid("atmnet_nano", neck=None).eval()
    assert pyramid.in_channels == [32, 64, 96, 128]
    assert pyramid.out_channels == 128
    for level in pyramid(torch.randn(2, 3, 64, 64)).values():
        torch.testing.assert_close(level.mean(1), torch.zeros_like(level[:, 0]), atol=1e-5, rtol=0)
        torch.testing.assert_close(level.std(1, correction=0), torch.ones_like(level[:, 0]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_same_maps_as_features_only(name):
    whole = timm.create_model(name)
    pyramid = Pyramid(name, neck=None).eval()
    load_body(nn.ModuleDict({"backbone": pyramid}), whole.state_dict(), "weights.pth")
    indices = [i for i, info in enumerate(whole.feature_info) if info["reduction"] >= 4]
    theirs = FeatureGetterNet(whole, out_indices=indices).eval()
    x = torch.randn(1, 3, 64, 64)
    for ours, expected in zip(pyramid(x).values(), theirs(x), strict=True):
        torch.testing.assert_close(ours, expected)


def test_weights_of_a_classifier():
    classifier = timm.create_model("atmnet_nano", num_classes=7)
    model = Dense()
    before = {key: value.clone() for key, value in model.backbone.body.state_dict().items()}
    load_body(model, classifier.state_dict(), "weights.pth")
    for key, value in model.backbone.body.state_dict().items():
        source = before if key.startswith("stage_norms.") else classifier.state_dict()
        assert value.equal(source[key]), key


def test_weights_of_the_authors():
    classifier = timm.create_model("atmnet_nano")
    official = golden.official_weights(classifier)
    classifier.load_state_dict(official)
    model = Dense()
    load_body(model, official, "official.pth")
    assert model.backbone.body.stages[1].pos_embed.conv.weight.equal(classifier.stages[1].pos_embed.conv.weight)


def test_weights_of_another_dense_network():
    other, model = Dense(first_stride=4), Dense(first_stride=8, extra="p6p7")
    load_body(model, other.state_dict(), "weights.pth")
    mine, theirs = model.backbone.body.state_dict(), other.backbone.body.state_dict()
    assert all(value.equal(theirs[key]) for key, value in mine.items())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: {**w, "extra.weight": torch.zeros(1)}, "1 unexpected parameters, e.g. extra.weight"),
        (
            lambda w: {k: v for k, v in w.items() if "pos_embed" not in k},
            "8 missing parameters, e.g. stages.0.pos_embed",
        ),
        (lambda w: {}, "missing parameters, e.g. patch_embed"),
        (lambda w: {**w, "patch_embed.proj.bias": torch.zeros(5)}, "size mismatch"),
        (lambda w: timm.create_model("test_resnet").state_dict(), "unexpected parameters"),
    ],
)
def test_weights_of_something_else(spoil, message):
    with pytest.raises(UserError, match=rf"^some.pth: not weights of atmnet_nano: .*{message}") as caught:
        load_body(Dense(), spoil(timm.create_model("atmnet_nano").state_dict()), "some.pth")
    assert "\n" not in str(caught.value)


def test_batch_norm_keeps_its_statistics_once_there_are_weights():
    fresh, started = Dense("test_resnet"), Dense("test_resnet")
    weights = timm.create_model("test_resnet").state_dict()
    load_body(started, weights, "weights.pth")
    x = torch.randn(4, 3, 64, 64) + 1
    for model, changes in ((fresh, True), (started, False)):
        model.train().backbone(x)
        after = model.backbone.body.state_dict()["layer1.0.bn1.running_mean"]
        assert after.equal(weights["layer1.0.bn1.running_mean"]) is not changes
    # What training saves is read by a network whose BatchNorm is not frozen, as long as no version is recorded.
    Dense("test_resnet").load_state_dict(dict(started.state_dict()))


def test_configuration_drop_path_and_recomputing():
    pyramid = Pyramid("atmnet_nano", neck=None, drop_path=0.3, grad_checkpointing=True)
    assert len(pyramid.config["mean"]) == len(pyramid.config["std"]) == 3
    rates = [m.drop_prob for m in pyramid.modules() if isinstance(m, DropPath)]
    assert max(rates) == pytest.approx(0.3)
    assert any(getattr(m, "grad_checkpointing", False) for m in pyramid.modules())


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("atmnet_nano", {"kwargs": {"nonsense": 1}}, "model.kwargs: atmnet_nano: .*nonsense"),
        ("atmnet_nano", {"first_stride": 64}, "model.name: atmnet_nano has no feature map of stride 64 or more"),
        ("atmnet_nano", {"neck": "bifpn"}, "model.neck: got 'bifpn', expected one of fpn, atmfpn, atmfpn_aligned"),
        ("atmnet_nano", {"neck": "atmfpn", "channels": 30}, "model.channels: share: got 4"),
        (
            "coat_lite_tiny",
            {"grad_checkpointing": True},
            "grad_checkpointing: coat_lite_tiny does not support it",
        ),
    ],
)
def test_what_does_not_go(name, kwargs, message):
    with pytest.raises(UserError, match=message):
        Pyramid(name, **kwargs)


def test_a_model_without_feature_maps(monkeypatch):
    monkeypatch.delattr(timm.models.resnet.ResNet, "forward_intermediates")
    with pytest.raises(UserError, match=r"^model.name: test_resnet has no feature maps"):
        Pyramid("test_resnet")
