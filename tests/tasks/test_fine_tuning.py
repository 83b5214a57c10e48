"""Weights to start from: everything is taken over that fits, the head only where the classes are the same."""

import pytest
import timm
import torch
from timm.layers import DropPath

from atmnet.tasks import build_classifier, load_classifier
from atmnet_cli.options import ModelOptions
from tests import golden
from tests.tasks.conftest import NAMES


def _build(path, classes, name="atmnet_nano", **options):
    return build_classifier(ModelOptions(name=name, weights=str(path), **options), classes, 32)


def _compare(built, weights, same_head):
    """All parameters equal but the head's, which is that of ``weights`` or else fresh."""
    heads = built.pretrained_cfg["classifier"]
    heads = (heads,) if isinstance(heads, str) else heads
    for key, value in built.state_dict().items():
        if not key.startswith(heads):
            assert value.equal(weights[key]), key
    head = heads[0] + "."
    fresh = built.state_dict()[head + "weight"]
    if same_head:
        assert fresh.equal(weights[head + "weight"])
        assert built.state_dict()[head + "bias"].equal(weights[head + "bias"])
    else:
        assert fresh.shape != weights[head + "weight"].shape or not fresh.equal(weights[head + "weight"])
        assert 0 < fresh.std() < 0.5  # initialised, and not by the uninitialised memory of an empty tensor
        assert fresh.isfinite().all()


@pytest.mark.parametrize(
    ("classes", "same_head"),
    [(NAMES, True), (["a", "b", "c"], False), (NAMES[::-1], False), ([*NAMES, "more"], False), (NAMES[:2], False)],
    ids=["same", "other names", "other order", "more", "fewer"],
)
@pytest.mark.parametrize("what", ["run", "checkpoint"])
def test_from_our_checkpoint(classifier, checkpoint, classes, same_head, what):
    built = _build(checkpoint if what == "checkpoint" else checkpoint.parents[1], classes)
    assert built.classes == classes
    assert built.model.num_classes == len(classes)
    _compare(built.model, classifier.model.state_dict(), same_head)


def test_from_the_weights_file_alone_the_number_of_classes_decides(classifier, checkpoint):
    built = _build(checkpoint / "model.safetensors", ["a", "b", "c"])
    _compare(built.model, classifier.model.state_dict(), True)
    built = _build(checkpoint / "model.safetensors", ["a", "b"])
    _compare(built.model, classifier.model.state_dict(), False)


@pytest.mark.parametrize("number", [10, 3])
def test_from_an_official_file(official_file, number):
    built = _build(official_file, [str(k) for k in range(number)])
    reference = timm.create_model("atmnet_nano").eval()
    reference.load_state_dict(golden.official_weights(reference))
    _compare(built.model, reference.state_dict(), number == 10)
    if number == 10:
        image = torch.randn(2, 3, 32, 32)
        assert built.model.eval()(image).equal(reference(image))


def test_one_channel_from_a_file_of_three(official_file):
    """timm's rule: the filters of the channels are added up."""
    built = _build(official_file, NAMES, kwargs={"in_chans": 1})
    model = timm.create_model("atmnet_nano")
    theirs = golden.official_weights(model)["patch_embed.proj.weight"]
    torch.testing.assert_close(built.model.patch_embed.proj.weight.data, theirs.sum(1, keepdim=True))


@pytest.mark.parametrize("img_size", [None, 48])
@pytest.mark.parametrize("channels", [1, 3])
def test_preprocessing_fits_the_model(img_size, channels):
    built = build_classifier(ModelOptions(name="atmnet_nano", kwargs={"in_chans": channels}), NAMES, img_size)
    side = img_size or 32
    assert built.config["input_size"] == (channels, side, side)
    assert len(built.config["mean"]) == len(built.config["std"]) == channels
    assert built.model(torch.zeros(1, channels, side, side)).shape == (1, 3)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "deit_tiny_distilled_patch16_224"])
@pytest.mark.parametrize("number", [3, 5])
def test_other_models_of_timm(name, number, tmp_path):
    theirs = timm.create_model(name, num_classes=3)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    classes = [str(k) for k in range(number)]
    _compare(
        build_classifier(ModelOptions(name=name, weights=str(tmp_path / "theirs.pth")), classes, None).model,
        theirs.state_dict(),
        number == 3,
    )
    loaded = load_classifier(name, str(tmp_path / "theirs.pth"))
    assert loaded.classes == ["0", "1", "2"]
    image = torch.randn(1, *loaded.config["input_size"])
    assert loaded.model(image).equal(theirs.eval()(image))


def test_drop_path_and_further_arguments():
    built = build_classifier(ModelOptions(name="atmnet_nano", drop_path=0.3, kwargs={"drop_rate": 0.2}), NAMES, None)
    rates = [module.drop_prob for module in built.model.modules() if isinstance(module, DropPath)]
    assert max(rates) == pytest.approx(0.3)
    assert built.model.head.drop.p == 0.2
