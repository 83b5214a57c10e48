"""A checkpoint folder carries all that is needed, for us and for plain timm."""

import json

import pytest
import timm
import torch

from atmnet.engine import save_checkpoint
from atmnet.tasks import build_classifier, load_classifier
from atmnet_cli.options import ModelOptions
from tests.tasks.conftest import NAMES


@pytest.mark.parametrize("what", ["run", "checkpoint", "last"])
def test_folder(classifier, checkpoint, what):
    run = checkpoint.parents[1]
    loaded = load_classifier(str({"run": run, "checkpoint": checkpoint, "last": run / "last"}[what]))
    image = torch.randn(2, 3, 32, 32)
    assert not loaded.model.training
    assert loaded.model(image).equal(classifier.model(image))
    assert loaded.classes == NAMES
    assert loaded.config == classifier.config


def test_best_goes_before_last(classifier, checkpoint):
    run = checkpoint.parents[1]
    worse = {key: value * 0 for key, value in classifier.model.state_dict().items()}
    save_checkpoint(run, 8, classifier, worse, {})
    (run / "best").symlink_to(checkpoint)
    image = torch.randn(1, 3, 32, 32)
    assert load_classifier(str(run)).model(image).equal(classifier.model(image))


@pytest.mark.parametrize(
    ("name", "img_size", "kwargs"),
    [
        ("atmnet_nano", None, {}),
        ("atmnet_nano", 48, {"in_chans": 1}),
        ("atmnet_nano", None, {"depths": [2, 2, 3, 2], "shares": [2, 2, 4, 8], "drop_rate": 0.1}),
        ("atmnet_tiny.in1k_384", 64, {"depths": [2, 2, 2, 2], "dims": [16, 32, 48, 64]}),
        ("test_resnet", 32, {}),
    ],
    ids=["plain", "grey", "arguments", "tag", "resnet"],
)
def test_plain_timm_loads_it(name, img_size, kwargs, tmp_path):
    """Same logits and same preprocessing, without this package's engine."""
    built = build_classifier(ModelOptions(name=name, kwargs=kwargs), NAMES, img_size)
    folder = save_checkpoint(tmp_path / "run", 1, built, built.model.state_dict(), {})
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    image = torch.randn(2, *built.config["input_size"])
    assert model(image).equal(built.model.eval()(image))
    config = timm.data.resolve_model_data_config(model)
    assert json.dumps(config) == json.dumps(built.config)
    assert model.pretrained_cfg["label_names"] == NAMES

    ours = load_classifier(str(folder))
    assert ours.config == built.config
    assert ours.model(image).equal(model(image))


@pytest.mark.parametrize("head", ["ours", "official"])
def test_name_and_weights(classifier, checkpoint, official_file, head):
    if head == "ours":
        loaded = load_classifier("atmnet_nano", str(checkpoint))
        image = torch.randn(1, 3, 32, 32)
        assert loaded.model(image).equal(classifier.model(image))
        assert loaded.classes == NAMES
    else:
        assert load_classifier("atmnet_nano", str(official_file)).classes == [str(k) for k in range(10)]


def test_thousand_classes_are_those_of_imagenet(tmp_path):
    model = timm.create_model("atmnet_nano", num_classes=1000)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    loaded = load_classifier("atmnet_nano", str(tmp_path / "weights.pth"))
    assert (loaded.classes[0], loaded.classes[281], len(loaded.classes)) == ("tench", "tabby", 1000)


def test_the_configuration_is_readable_text(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    assert config["architecture"] == "atmnet_nano"
    assert config["label_names"] == NAMES
