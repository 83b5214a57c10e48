"""Image and batch sizes that cannot be trained on are refused before the first step, and no others."""

import pytest
import torch

from atmnet.engine import train
from atmnet.engine.trial import check_shapes
from atmnet.tasks import Classifier, build_classifier, start_task
from atmnet.tasks.dense import build_dense
from atmnet_cli.errors import UserError
from atmnet_cli.options import DenseOptions, ModelOptions, TrainOptions
from tests.engine.runs import tiny

CLASSES = ["eight", "five"]
ONE_VALUE = "has one value to normalise over"


def _classifier(name, img_size):
    return build_classifier(ModelOptions(name=name), CLASSES, img_size)


def _dense(head, channels, img_size, name="atmnet_nano", **kwargs):
    model = ModelOptions(name=name, head=head, channels=channels, head_kwargs=kwargs)
    return build_dense(model, DenseOptions(crop_size=img_size, img_sizes=[img_size]), CLASSES)


def _check(network, batch_size=1, accumulate=1, world=1):
    check_shapes(network, TrainOptions(output="", batch_size=batch_size, accumulate=accumulate), world)


@pytest.mark.parametrize(
    ("make", "batch", "told"),
    [
        (lambda: _classifier("resnet18", 32), {}, ONE_VALUE),
        (lambda: _classifier("resnet18", 32), {"batch_size": 4, "accumulate": 4}, ONE_VALUE),
        (lambda: _classifier("resnet18", 32), {"batch_size": 2}, None),
        (lambda: _classifier("resnet18", 32), {"batch_size": 4, "accumulate": 2, "world": 2}, None),  # synchronised
        (lambda: _classifier("resnet18", 64), {}, None),
        (lambda: _classifier("levit_128s", 224), {}, ONE_VALUE),
        (lambda: _classifier("vgg11_bn", 16), {"batch_size": 8}, "cannot be trained on these: .*too small"),
        (lambda: _classifier("test_vit", None), {}, None),
        (lambda: _classifier("atmnet_nano", 8), {}, None),
        (lambda: _dense("upernet", 64, 64), {}, "BatchNorm needs at least 2 images"),
        (lambda: _dense("upernet", 64, 64), {"batch_size": 2}, None),
        (lambda: _dense("upernet", 32, 64, norm="group"), {"batch_size": 8}, ONE_VALUE),
        (lambda: _dense("upernet", 64, 64, norm="group"), {}, None),
        (lambda: _dense("semantic_fpn", 32, 32), {}, None),
        (lambda: _dense("fcos", 32, 64), {"batch_size": 8}, ONE_VALUE),
        (lambda: _dense("retinanet_v2", 32, 64), {}, ONE_VALUE),
        (lambda: _dense("retinanet", 32, 32, "resnet18"), {}, ONE_VALUE),
        (lambda: _dense("mask_rcnn", 32, 32, "resnet18"), {"batch_size": 2}, None),
    ],
)
def test_sizes(make, batch, told):
    network = make()
    if told is None:
        _check(network, **batch)
        return
    with pytest.raises(UserError, match=told) as caught:
        _check(network, **batch)
    assert "\n" not in str(caught.value)
    assert "batch_size" in str(caught.value)


class _Norms(torch.nn.Module):
    """One normalisation of a map of ``side`` pixels, with a tensor that is no buffer and a value that is looked at."""

    def __init__(self, norm, side):
        super().__init__()
        self.norm, self.side, self.offset = norm, side, torch.zeros(())

    def forward(self, images):
        if images.sum().item() or self.offset.item():
            raise AssertionError
        return self.norm(images[..., : self.side, : self.side])


@pytest.mark.parametrize(
    ("norm", "side", "told"),
    [
        (torch.nn.InstanceNorm2d(3), 1, ONE_VALUE),
        (torch.nn.InstanceNorm2d(3), 2, None),
        (torch.nn.GroupNorm(3, 3), 1, ONE_VALUE),
        (torch.nn.GroupNorm(1, 3), 1, None),
        (torch.nn.BatchNorm2d(3), 1, None),
        (torch.nn.BatchNorm2d(3), 0, "gets a map without pixels"),
    ],
    ids=str,
)
def test_a_model_that_needs_values(norm, side, told):
    config = {**_classifier("test_vit", None).config, "input_size": (3, 8, 8)}
    network = Classifier(_Norms(norm, side), CLASSES, config)
    if told is None:
        _check(network, batch_size=2)
    else:
        with pytest.raises(UserError, match=told):
            _check(network, batch_size=2)


def test_the_model_stays_as_it_is(root, tmp_path):
    """Tensors that several modules share, too."""
    options = tiny(root, tmp_path, {"model.name": "resnet18", "data.img_size": 32})
    network = start_task(options, _Split()).network
    network.model.again = network.model.layer4
    before = {name: value.clone() for name, value in network.model.state_dict().items()}
    hooks = [len(module._forward_pre_hooks) for module in network.model.modules()]
    _check(network, batch_size=2)
    assert all(value.equal(before[name]) for name, value in network.model.state_dict().items())
    assert [len(module._forward_pre_hooks) for module in network.model.modules()] == hooks


class _Split:
    classes = CLASSES


def test_training_is_refused_before_anything_is_written(root, tmp_path):
    changes = {"model.name": "resnet18", "data.img_size": 32, "batch_size": 1, "data.workers": 1}
    with pytest.raises(UserError, match=r"batch_size, data.img_size: 1 image of 32x32 pixels at once: BatchNorm2d"):
        train(tiny(root, tmp_path / "run", changes))
    assert not (tmp_path / "run").exists()
