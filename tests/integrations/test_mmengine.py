"""OpenMMLab finds ATMNet and ATMFPN in mmengine's registry, and they do there what they do elsewhere."""

from typing import Any

import pytest
import timm
import torch
from torch import nn

from atmnet import necks
from atmnet_cli.errors import UserError
from tests import golden
from tests.models.build import build

pytest.importorskip("mmengine")

from mmengine.registry import MODELS, Registry

import atmnet.integrations.mmengine  # noqa: F401 - registers

CHANNELS = [32, 64, 96, 128]


def built(**config) -> Any:
    return MODELS.build(config)


def trains(model: nn.Module, outputs) -> None:
    sum(y.square().mean() for y in outputs).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert parameter.grad.isfinite().all(), name


def test_children_of_the_registry_have_both():
    child = Registry("model", parent=MODELS, scope="atmnet_child_of_mmengine")
    backbone = child.build({"type": "ATMNet", "name": "atmnet_nano"})
    neck = child.build({"type": "ATMFPN", "in_channels": backbone.channels, "out_channels": 32, "num_outs": 5})
    levels = neck(backbone(torch.randn(2, 3, 64, 96)))
    assert [tuple(y.shape) for y in levels] == [(2, 32, h, w) for h, w in [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]]
    trains(nn.ModuleList([backbone, neck]), levels)


@pytest.mark.parametrize("stage_norms", [True, False])
def test_the_backbone_gives_our_maps(stage_norms):
    backbone = built(type="ATMNet", name="atmnet_nano", out_indices=[1, 3], stage_norms=stage_norms).eval()
    ours = timm.create_model("atmnet_nano", features_only=True, out_indices=(1, 3), stage_norms=stage_norms).eval()
    ours.load_state_dict(backbone.maps.state_dict())
    image = torch.randn(1, 3, 65, 43)
    maps = backbone(image)
    assert isinstance(maps, tuple)
    assert all(a.equal(b) for a, b in zip(maps, ours(image), strict=True))
    assert backbone.channels == [64, 128]


def test_options_of_the_backbone():
    backbone = built(type="ATMNet", name="atmnet_nano", drop_path=0.3, in_channels=4, with_cp=True)
    groups = [group for stage in backbone.maps.model.stages for group in stage.groups]
    assert all(group.grad_checkpointing for group in groups)
    rates = [getattr(block.drop_path, "drop_prob", 0.0) for group in groups for block in group.blocks]
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(0.3)
    trains(backbone, backbone.train()(torch.randn(4, 4, 32, 32)))


@pytest.mark.parametrize(
    "config",
    [
        lambda path: {"init_cfg": {"type": "Pretrained", "checkpoint": path}},
        lambda path: {
            "init_cfg": [
                {"type": "Constant", "val": 0.1, "layer": "Linear"},
                {"type": "Pretrained", "checkpoint": path},
            ]
        },
        lambda path: {"pretrained": path},
    ],
    ids=["init_cfg", "list", "pretrained"],
)
@pytest.mark.parametrize("layout", ["official", "timm"])
def test_it_reads_a_classifiers_weights(config, layout, tmp_path):
    model = build()
    path = str(tmp_path / "weights.pth")
    torch.save({"model": golden.official_weights(model)} if layout == "official" else model.state_dict(), path)
    image = torch.randn(1, 3, 32, 32)
    expected = model.forward_intermediates(image, intermediates_only=True)
    for stages in ([0, 1, 2, 3], [0, 2]):
        backbone = built(
            type="ATMNet", name="atmnet_nano", out_indices=stages, stage_norms=False, **config(path)
        ).eval()
        assert not any(a.equal(expected[i]) for a, i in zip(backbone(image), stages, strict=True))
        backbone.init_weights()
        assert all(a.equal(expected[i]) for a, i in zip(backbone(image), stages, strict=True))


def test_weights_survive_a_second_init_weights(tmp_path):
    torch.save(build().state_dict(), tmp_path / "weights.pth")
    backbone = built(type="ATMNet", name="atmnet_nano", pretrained=str(tmp_path / "weights.pth"))
    backbone.init_weights()
    nn.init.ones_(backbone.maps.model.patch_embed.proj.bias)
    backbone.init_weights()
    assert (backbone.maps.model.patch_embed.proj.bias == 1).all()


def test_what_mmengine_saved_comes_back(tmp_path):
    first = built(type="ATMNet", name="atmnet_nano")
    path = str(tmp_path / "detector.pth")
    torch.save({"state_dict": {f"backbone.{key}": value for key, value in first.state_dict().items()}}, path)
    again = built(
        type="ATMNet",
        name="atmnet_nano",
        init_cfg={"type": "Pretrained", "checkpoint": path, "prefix": "backbone."},
    )
    again.init_weights()
    assert all(value.equal(first.state_dict()[key]) for key, value in again.state_dict().items())


def test_weights_that_do_not_fit(tmp_path):
    path = str(tmp_path / "weights.pth")
    torch.save(timm.create_model("atmnet_xtiny").state_dict(), path)
    backbone = built(type="ATMNet", name="atmnet_nano", pretrained=path)
    with pytest.raises(UserError, match=r"weights\.pth: not weights of this backbone"):
        backbone.init_weights()
    with pytest.raises(UserError, match="no such file"):
        built(type="ATMNet", name="atmnet_nano", pretrained=str(tmp_path / "absent.pth")).init_weights()
    with pytest.raises(ValueError, match="give one of them"):
        built(type="ATMNet", pretrained=path, init_cfg={"type": "Pretrained", "checkpoint": path})


def test_a_name_that_is_not_ours():
    with pytest.raises(UserError, match="atmnet_tiny"):
        built(type="ATMNet", name="resnet18")


def maps(count: int = 4) -> list[torch.Tensor]:
    return [torch.randn(1, channels, 33 >> i, 40 >> i) for i, channels in enumerate(CHANNELS[:count])]


@pytest.mark.parametrize("align", [False, True])
def test_the_neck_is_ours(align):
    neck = built(type="ATMFPN", in_channels=CHANNELS, out_channels=32, num_outs=4, align=align, share=2)
    ours = necks.ATMFPN(CHANNELS, 32, align=align, share=2)
    ours.load_state_dict(neck.pyramid.state_dict())
    inputs = maps()
    expected = ours({str(i): x for i, x in enumerate(inputs)}).values()
    assert all(a.equal(b) for a, b in zip(neck(tuple(inputs)), expected, strict=True))


@pytest.mark.parametrize("source", [False, True, "on_input", "on_output"])
@pytest.mark.parametrize("start_level", [0, 1])
def test_extra_levels(source, start_level):
    neck = built(
        type="ATMFPN",
        in_channels=CHANNELS,
        out_channels=32,
        num_outs=6 - start_level,
        start_level=start_level,
        add_extra_convs=source,
        relu_before_extra_convs=True,
    )
    levels = neck(maps())
    sizes = [(33, 40), (16, 20), (8, 10), (4, 5), (2, 3), (1, 2)]
    assert [tuple(y.shape) for y in levels] == [(1, 32, *size) for size in sizes[start_level:]]
    if source:
        widths = [convolution.in_channels for convolution in neck.extra_convs]
        assert widths == [32 if source == "on_output" else 128, 32]
        trains(neck, levels)
    else:
        assert levels[-2].equal(levels[-3][..., ::2, ::2])
        assert len(neck.extra_convs) == 0


def test_the_sources_of_extra_levels():
    neck = built(type="ATMFPN", in_channels=CHANNELS, out_channels=32, num_outs=6, add_extra_convs="on_input")
    inputs = maps()
    levels = neck(inputs)
    assert levels[4].equal(neck.extra_convs[0](inputs[-1]))
    assert levels[5].equal(neck.extra_convs[1](levels[4]))
    neck.relu_before_extra_convs = True
    assert neck(inputs)[5].equal(neck.extra_convs[1](levels[4].relu()))
    neck = built(type="ATMFPN", in_channels=CHANNELS, out_channels=32, num_outs=5, add_extra_convs="on_output")
    levels = neck(inputs)
    assert levels[4].equal(neck.extra_convs[0](levels[3]))


def test_an_end_level():
    neck = built(type="ATMFPN", in_channels=CHANNELS, out_channels=32, num_outs=2, start_level=1, end_level=2)
    levels = neck(maps())
    assert [tuple(y.shape[2:]) for y in levels] == [(16, 20), (8, 10)]
    trains(neck, levels)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_outs": 3}, "num_outs: got 3, expected 4"),
        ({"num_outs": 4, "end_level": 2}, "end_level=-1"),
        ({"start_level": 4}, "start_level, end_level: got 4, -1 for 4 maps"),
        ({"end_level": 4}, "start_level, end_level: got 0, 4 for 4 maps"),
        ({"num_outs": 5, "add_extra_convs": "on_lateral"}, "add_extra_convs: got 'on_lateral'"),
    ],
)
def test_levels_that_do_not_add_up(changed, message):
    with pytest.raises(ValueError, match=message):
        built(**{"type": "ATMFPN", "in_channels": CHANNELS, "out_channels": 32, "num_outs": 4, **changed})


def test_another_number_of_maps():
    neck = built(type="ATMFPN", in_channels=CHANNELS, out_channels=32, num_outs=4)
    with pytest.raises(ValueError, match="got 3 maps, expected 4"):
        neck(maps(3))
