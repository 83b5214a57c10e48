"""Files of the authors, of their segmenters, and our own: each loads wherever it makes sense, exactly."""

import dataclasses
import logging
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from tests import golden
from tests.models import files
from tests.models.build import build

NAME = "atmnet_nano"


@pytest.fixture(scope="module")
def plain() -> Any:
    """What every file below holds."""
    return build()


@pytest.fixture(scope="module")
def official(tmp_path_factory, plain) -> str:
    return str(files.official(tmp_path_factory.mktemp("official") / "nano.pth", plain))


@pytest.fixture(scope="module")
def segmentation(tmp_path_factory, plain) -> str:
    return str(files.segmentation(tmp_path_factory.mktemp("segmentation") / "nano.pth", plain))


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(2, 3, 40, 52)


def load(path: str, how: str, **kwargs) -> Any:
    if how == "checkpoint_path":
        return timm.create_model(NAME, checkpoint_path=path, **kwargs).eval()
    return timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay={"file": path}, **kwargs).eval()


WAYS = pytest.mark.parametrize("how", ["checkpoint_path", "pretrained"])


@WAYS
def test_official(official, plain, image, how):
    model = load(official, how)
    assert model(image).equal(plain(image))
    ours, ema, names = model.state_dict(), golden.official_weights(plain), golden.our_names(plain)
    assert ours.keys() == set(names.values())
    assert all(ours[names[name]].flatten().equal(value.flatten()) for name, value in ema.items())  # not the raw ones


@WAYS
def test_official_as_features(official, plain, image, how):
    features = load(official, how, features_only=True)(image)
    for ours, theirs in zip(features, plain.forward_intermediates(image, intermediates_only=True), strict=True):
        assert ours.equal(theirs)


@WAYS
@pytest.mark.parametrize("indices", [(0,), (1, 2)])
def test_official_as_some_features(official, plain, image, how, indices):
    features = load(official, how, features_only=True, out_indices=indices)(image)
    expected = plain.forward_intermediates(image, indices=list(indices), intermediates_only=True)
    for ours, theirs in zip(features, expected, strict=True):
        assert ours.equal(theirs)


@pytest.mark.parametrize("name", [NAME, f"{NAME}.digits"])
def test_the_ways_to_name_a_file(official, plain, image, name):
    config = timm.get_pretrained_cfg(NAME)
    for given in (
        {"pretrained_cfg_overlay": {"file": official}},
        {"pretrained_cfg": dataclasses.replace(config, file=official)},
        {"pretrained_cfg": {**config.to_dict(), "file": official}},
        {"pretrained_cfg_overlay": {"state_dict": torch.load(official, weights_only=False)["model_ema"]}},
    ):
        assert timm.create_model(name, pretrained=True, **given).eval()(image).equal(plain(image))


@pytest.mark.parametrize("num_classes", [7, 0])
def test_official_with_another_head(official, plain, image, num_classes):
    model = load(official, "pretrained", num_classes=num_classes)
    assert model.forward_features(image).equal(plain.forward_features(image))
    assert model(image).shape == (2, num_classes or 128)


def test_official_in_grey(official, plain):
    """One channel's filter is the sum of three: a grey image gives what its three equal channels would."""
    model, grey = load(official, "pretrained", in_chans=1), torch.randn(2, 1, 40, 52)
    torch.testing.assert_close(model(grey), plain(grey.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


def test_official_in_grey_as_features(official, plain):
    model, grey = load(official, "pretrained", in_chans=1, features_only=True), torch.randn(2, 1, 40, 52)
    expected = plain.forward_intermediates(grey.expand(-1, 3, -1, -1), intermediates_only=True)
    torch.testing.assert_close(model(grey), expected, rtol=1e-4, atol=1e-4)


def test_official_through_load_state_dict(plain, image):
    model = timm.create_model(NAME).eval()
    result = model.load_state_dict(golden.official_weights(plain))
    assert not result.missing_keys
    assert not result.unexpected_keys
    assert model(image).equal(plain(image))
    inside = nn.ModuleDict({"backbone": timm.create_model(NAME)}).eval()
    inside.load_state_dict({f"backbone.{name}": value for name, value in golden.official_weights(plain).items()})
    assert inside["backbone"](image).equal(plain(image))


def test_the_callers_dictionary_stays_as_it_is(plain):
    weights = golden.official_weights(plain)
    before = list(weights)
    timm.create_model(NAME).load_state_dict(weights)
    assert list(weights) == before


@WAYS
@pytest.mark.parametrize("indices", [(0, 1, 2, 3), (1, 2)], ids=str)
def test_segmentation_as_features_with_norms(segmentation, plain, image, how, indices):
    features = load(segmentation, how, features_only=True, stage_norms=True, out_indices=indices)(image)
    raw = plain.forward_intermediates(image, output_fmt="NHWC", intermediates_only=True)
    weights = files.segmentation_weights(plain)
    for i, ours in zip(indices, features, strict=True):
        weight, bias = (weights[f"backbone.norm_{i}.{kind}"] for kind in ("weight", "bias"))
        expected = nn.functional.layer_norm(raw[i], raw[i].shape[-1:], weight, bias, eps=1e-5)
        assert ours.equal(expected.permute(0, 3, 1, 2))


@WAYS
def test_segmentation_as_plain_features(segmentation, plain, image, how):
    features = load(segmentation, how, features_only=True)(image)
    for ours, theirs in zip(features, plain.forward_intermediates(image, intermediates_only=True), strict=True):
        assert ours.equal(theirs)


@WAYS
def test_segmentation_in_a_classifier(segmentation, plain, image, how, caplog):
    torch.manual_seed(3)
    fresh = timm.create_model(NAME)
    torch.manual_seed(3)
    with caplog.at_level(logging.WARNING):
        model = load(segmentation, how)
    assert "checkpoint has no norm.weight, norm.bias, head.fc.weight, head.fc.bias" in caplog.text
    assert model.head.fc.weight.equal(fresh.head.fc.weight)
    maps = model.forward_intermediates(image, intermediates_only=True)
    assert maps[-1].equal(plain.forward_intermediates(image, intermediates_only=True)[-1])


@WAYS
@pytest.mark.parametrize("features_only", [False, True])
def test_official_has_no_stage_norms(official, features_only, how, caplog):
    with caplog.at_level(logging.WARNING):
        model = load(official, how, stage_norms=True, features_only=features_only)
    assert "checkpoint has no stage_norms.0.weight" in caplog.text
    norms = (model.model if features_only else model).stage_norms
    assert all((norm.weight == 1).all() and not norm.bias.any() for norm in norms)


@WAYS
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("stage_norms", [False, True])
def test_our_own(tmp_path, image, suffix, stage_norms, how):
    model = timm.create_model(NAME, stage_norms=stage_norms).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    path = tmp_path / f"own{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{key}": value for key, value in model.state_dict().items()}}, path)
    else:
        save_file(model.state_dict(), path)
    again = load(str(path), how, stage_norms=stage_norms)
    assert all(value.equal(again.state_dict()[key]) for key, value in model.state_dict().items())

    maps = model.forward_intermediates(image, norm=stage_norms, intermediates_only=True)
    for indices in ((0, 1, 2, 3), (0, 2)):
        features = load(str(path), how, stage_norms=stage_norms, features_only=True, out_indices=indices)
        for i, ours in zip(indices, features(image), strict=True):
            assert ours.equal(maps[i])


def test_features_round_trip(tmp_path, image):
    model = timm.create_model(NAME, features_only=True, out_indices=(1, 3), stage_norms=True).eval()
    torch.save(model.state_dict(), tmp_path / "features.pth")
    again = timm.create_model(NAME, features_only=True, out_indices=(1, 3), stage_norms=True).eval()
    again.load_state_dict(torch.load(tmp_path / "features.pth", weights_only=True))
    assert all(ours.equal(theirs) for ours, theirs in zip(again(image), model(image), strict=True))
