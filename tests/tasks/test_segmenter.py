"""Segmenters have the published sizes, and take images of any size."""

import math
import sys
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from atmnet.layers import ATM
from atmnet.tasks.segmenter import Segmenter, build_segmenter
from atmnet_cli.errors import UserError
from atmnet_cli.options import ModelOptions

HEADS = ["semantic_fpn", "upernet"]
SIZES = [(64, 64), (31, 400), (65, 33), (32, 45)]
every_head = pytest.mark.parametrize("head", HEADS)


def small(head: Any, name: str = "atmnet_nano", **kwargs: Any) -> Segmenter:
    if head == "upernet":
        pytest.importorskip("transformers")
        given = {"aux_channels": 32, **kwargs.pop("head_kwargs", {})}
    else:
        given = {"channels": 32, **kwargs.pop("head_kwargs", {})}
    return build_segmenter(ModelOptions(name=name, head=head, channels=64, head_kwargs=given, **kwargs), 5)


#: For 150 classes: 10^6 parameters of UperNet (512 channels) and Semantic FPN, and the latter's GFLOPs at 512 x 512.
PUBLISHED = {
    "xtiny": (45.3, 19.1, 33.1),
    "tiny": (57.1, 30.9, 42.4),
    "small": (68.6, 42.4, 57.8),
    "base": (82.1, 55.9, 74.7),
    "large": (107.9, 79.8, 86.6),
}


#: Those whose operations are counted, which takes as long as to run them.
COUNTED = ("xtiny", "large")


def on_meta(head: Any, variant: str, channels: int) -> Segmenter:
    with torch.device("meta"):
        return build_segmenter(ModelOptions(name=f"atmnet_{variant}", head=head, channels=channels), 150)


@pytest.mark.parametrize("variant", PUBLISHED)
def test_parameters_of_upernet(variant):
    pytest.importorskip("transformers")
    model = on_meta("upernet", variant, 512)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(PUBLISHED[variant][0], rel=0.005)


@pytest.mark.parametrize("variant", PUBLISHED)
def test_semantic_fpn(variant):
    """The published figure counts a multiply and an add as one, and 5 for each element of a LayerNorm."""
    _, parameters, gflops = PUBLISHED[variant]
    model = on_meta("semantic_fpn", variant, 256).eval()
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(parameters, rel=0.005)
    if variant not in COUNTED:
        return
    for module in model.modules():
        if isinstance(module, ATM):
            module.fold = False
    norms = {torch.ops.aten.native_layer_norm: lambda shape, *_, **__: 2 * 5 * math.prod(shape)}
    with FlopCounterMode(display=False, custom_mapping=norms) as counter:
        model(torch.empty(1, 3, 512, 512, device="meta"))
    assert counter.get_total_flops() / 2e9 == pytest.approx(gflops, rel=0.02)


@every_head
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_any_size(head, size):
    model = small(head)
    images = torch.randn(2, 3, *size)
    outputs = model.train()(images)
    assert len(outputs) == (2 if head == "upernet" else 1)
    fine = tuple((side - 3) // 4 + 1 for side in size)
    assert outputs[0].shape == (2, 5, *fine)
    sum(logits.square().mean() for logits in outputs).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.eval()(images).shape == (2, 5, *size)


@every_head
def test_evaluation_upsamples_what_training_gives(head):
    model = small(head, head_kwargs={"dropout": 0.0} | ({"norm": "group"} if head == "upernet" else {}))
    images = torch.randn(1, 3, 64, 96)
    logits = model.train()(images)[0]
    expected = nn.functional.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(model.eval()(images), expected)


@every_head
@pytest.mark.parametrize("name", ["test_resnet", "test_convnext"])
def test_other_backbones(head, name):
    model = small(head, name)
    assert model.eval()(torch.randn(1, 3, 50, 70)).shape == (1, 5, 50, 70)


@pytest.mark.parametrize("neck", ["fpn", "atmfpn", "atmfpn_aligned"])
def test_necks(neck):
    model = small("semantic_fpn", neck=neck)
    (logits,) = model.train()(torch.randn(2, 3, 64, 64))
    logits.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert type(model.backbone.neck).__name__ == ("FeaturePyramidNetwork" if neck == "fpn" else "ATMFPN")


def test_upernet_as_published():
    pytest.importorskip("transformers")
    model = build_segmenter(ModelOptions(name="atmnet_nano", head="upernet", channels=512), 150)
    assert model.aux_weight == 0.4
    assert model.head.pool_scales == (1, 2, 3, 6)
    assert model.head.channels == 512
    assert (model.auxiliary.channels, model.auxiliary.in_index) == (256, 2)
    for head in (model.head, model.auxiliary):
        dropout, classifier = head.classifier
        assert dropout.p == 0.1
        assert classifier.out_channels == 150
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert len(model.backbone.body.stage_norms) == 4


def test_upernet_with_group_norm_does_not_mix_images():
    model = small("upernet", head_kwargs={"norm": "group", "dropout": 0.0}).train()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    images = torch.randn(3, 3, 64, 64)
    alone = [torch.cat(parts) for parts in zip(*(model(image[None]) for image in images), strict=True)]
    for together, apart in zip(model(images), alone, strict=True):
        torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-6)


def test_batch_norm_needs_two_images():
    model = small("upernet").train()
    with pytest.raises(UserError, match=r"^batch_size: .* at least 2 images .*norm"):
        model(torch.randn(1, 3, 64, 64))
    model.eval()(torch.randn(1, 3, 64, 64))
    small("semantic_fpn").train()(torch.randn(1, 3, 64, 64))


def test_upernet_without_the_second_head():
    model = small("upernet", head_kwargs={"aux_weight": 0})
    assert model.auxiliary is None
    assert len(model.train()(torch.randn(2, 3, 64, 64))) == 1


def test_every_segmenter_has_a_weight_for_a_second_head():
    assert small("semantic_fpn").aux_weight == small("upernet").aux_weight == 0.4


@pytest.mark.parametrize(
    ("head", "given", "message"),
    [
        ("semantic_fpn", {"nonsense": 1}, "semantic_fpn: .*nonsense"),
        ("semantic_fpn", {"channels": 48}, "semantic_fpn: .*divisible"),
        ("upernet", {"nonsense": 1}, "upernet: .*nonsense"),
        ("upernet", {"norm": "layer"}, "norm: got 'layer', expected 'batch' or 'group'"),
        ("upernet", {"aux_channels": 48, "norm": "group"}, "upernet: .*divisible"),
    ],
)
def test_wrong_arguments(head, given, message):
    with pytest.raises(UserError, match=rf"^model.head_kwargs: {message}") as caught:
        small(head, head_kwargs=given)
    assert "\n" not in str(caught.value)


def test_wrong_head():
    with pytest.raises(UserError, match=r"^model.head: got 'fcos', expected one of semantic_fpn, upernet"):
        build_segmenter(ModelOptions(name="atmnet_nano", head="fcos"), 5)


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"^model\.head: 'upernet' needs transformers: pip install .*'transformers"):
        build_segmenter(ModelOptions(name="atmnet_nano", head="upernet"), 5)
