"""Weights that are missing, broken or of something else: one line that says so."""

import json
import re

import pytest
import safetensors.torch
import timm
import torch

from atmnet.tasks import build_classifier, load_classifier
from atmnet_cli.errors import UserError
from atmnet_cli.options import ModelOptions
from tests import golden
from tests.tasks.conftest import NAMES


def _missing(path, checkpoint):
    pass


def _empty(path, checkpoint):
    path.write_bytes(b"")


def _text(path, checkpoint):
    path.write_text("not weights\n" * 50)


def _cut(path, checkpoint):
    path.write_bytes((checkpoint / "model.safetensors").read_bytes()[:1000])


def _pickle(path, checkpoint):
    """Code to run rather than weights: never loaded."""
    import pickle

    path.write_bytes(pickle.dumps({"state_dict": re.compile}, protocol=2))


def _other_variant(path, checkpoint):
    model = timm.create_model("atmnet_nano", depths=(2, 2, 4, 2), num_classes=3)
    torch.save(model.state_dict(), path)


def _other_width(path, checkpoint):
    model = timm.create_model("atmnet_nano", dims=(32, 64, 96, 160), num_classes=3)
    torch.save(model.state_dict(), path)


def _official_other_variant(path, checkpoint):
    torch.save(golden.official_weights(timm.create_model("atmnet_nano", depths=(2, 2, 4, 2))), path)


def _foreign(path, checkpoint):
    torch.save(timm.create_model("test_resnet", num_classes=3).state_dict(), path)


def _nothing(path, checkpoint):
    torch.save({}, path)


def _no_tensors(path, checkpoint):
    torch.save([1, 2, 3], path)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "spoil",
    [
        _missing, _empty, _text, _cut, _pickle, _other_variant, _other_width, _official_other_variant, _foreign,
        _nothing, _no_tensors,
    ],
)  # fmt: skip
def test_refused(spoil, suffix, checkpoint, tmp_path):
    path = tmp_path / f"weights.{suffix}"
    spoil(path, checkpoint)
    for load in (
        lambda: build_classifier(ModelOptions(name="atmnet_nano", weights=str(path)), NAMES, None),
        lambda: build_classifier(ModelOptions(name="atmnet_nano", weights=str(path)), NAMES[:2], None),
        lambda: load_classifier("atmnet_nano", str(path)),
    ):
        with pytest.raises(UserError, match=re.escape(str(path))) as caught:
            load()
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600


def test_safetensors_of_another_model(checkpoint, tmp_path):
    path = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file(timm.create_model("test_resnet", num_classes=3).state_dict(), path)
    with pytest.raises(UserError, match=r"foreign.safetensors: not weights of atmnet_nano: \d+ unexpected parameters"):
        build_classifier(ModelOptions(name="atmnet_nano", weights=str(path)), NAMES, None)
    with pytest.raises(UserError, match=r"foreign.safetensors: not weights of atmnet_nano with a classifier"):
        load_classifier("atmnet_nano", str(path))


@pytest.mark.parametrize(
    ("name", "near"),
    [("atmnet_tny", "atmnet_tiny"), ("atmnet-tiny", "atmnet_tiny"), ("resnet_50", "resnet50"), ("%$", "atmnet_")],
)
def test_unknown_model(name, near):
    for load in (lambda: build_classifier(ModelOptions(name=name), NAMES, None), lambda: load_classifier(name, "x")):
        with pytest.raises(UserError, match=rf"unknown model.* '{re.escape(name)}'.*{near}"):
            load()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"drop_ratee": 0.1}, "model.kwargs: atmnet_nano: .*drop_ratee"),
        ({"depths": [1, 2, 2, 2]}, "depth: got 1, expected at least 2"),
        ({"in_chans": 1, "num_classes": 7, "dims": [7, 7, 7, 7]}, "atmnet_nano: .*"),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(UserError, match=message) as caught:
        build_classifier(ModelOptions(name="atmnet_nano", kwargs=kwargs), NAMES, None)
    assert "\n" not in str(caught.value)


def test_gradient_checkpointing_that_a_model_lacks():
    with pytest.raises(UserError, match=r"model.grad_checkpointing: coat_lite_tiny"):
        build_classifier(ModelOptions(name="coat_lite_tiny", grad_checkpointing=True), NAMES, None)
    build_classifier(ModelOptions(name="atmnet_nano", grad_checkpointing=True), NAMES, None)


def test_weights_without_a_classifier(classifier, tmp_path):
    weights = {key: value for key, value in classifier.model.state_dict().items() if not key.startswith("head.")}
    torch.save(weights, tmp_path / "backbone.pth")
    with pytest.raises(UserError, match=r"backbone.pth: not weights of atmnet_nano with a classifier"):
        load_classifier("atmnet_nano", str(tmp_path / "backbone.pth"))
    built = build_classifier(ModelOptions(name="atmnet_nano", weights=str(tmp_path / "backbone.pth")), NAMES, None)
    assert built.model.norm.weight.equal(weights["norm.weight"])


def test_size_that_a_model_cannot_take():
    with pytest.raises(UserError, match=r"data.img_size: Requested image size \(64, 64\), but the model requires"):
        build_classifier(ModelOptions(name="resmlp_12_224"), NAMES, 64)


def test_a_name_without_weights():
    with pytest.raises(UserError, match="weights: atmnet_xtiny is only the name of a model; pass the file"):
        load_classifier("atmnet_xtiny")


@pytest.mark.parametrize("spoil", ["no checkpoint", "empty config", "foreign config", "cut weights", "other weights"])
def test_broken_folder(spoil, checkpoint, tmp_path):
    if spoil == "no checkpoint":
        folder = tmp_path / "folder"
        folder.mkdir()
    else:
        folder = checkpoint
    if spoil == "empty config":
        (folder / "config.json").write_text("")
    if spoil == "foreign config":
        (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    if spoil == "cut weights":
        weights = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    if spoil == "other weights":
        safetensors.torch.save_file(timm.create_model("test_resnet").state_dict(), folder / "model.safetensors")
    with pytest.raises(UserError, match=re.escape(str(folder))) as caught:
        load_classifier(str(folder))
    assert "\n" not in str(caught.value)
