"""ATMFPN keeps the contract of torchvision's FPN, starts as one, costs less, and can be scripted and exported."""

from collections import OrderedDict

import pytest
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from atmnet.layers import ATM
from atmnet.necks import ATMFPN

CHANNELS = [8, 16, 24]
C = 16
#: Odd ratios, one of 1, and a row of one token.
SIZES = [
    ((32, 48), (16, 24), (8, 12)),
    ((13, 29), (7, 13), (3, 8)),
    ((9, 10), (9, 10), (4, 3)),
    ((1, 100), (1, 50), (1, 25)),
]

both = pytest.mark.parametrize("align", [False, True], ids=["plain", "aligned"])


def maps(sizes=SIZES[1], batch=2) -> "OrderedDict[str, torch.Tensor]":
    return OrderedDict(
        (name, torch.randn(batch, channels, *size))
        for name, channels, size in zip(("fine", "1", "coarse"), CHANNELS, sizes, strict=True)
    )


def moved(neck: ATMFPN) -> ATMFPN:
    """With parameters that are not what they start as."""
    with torch.no_grad():
        for parameter in neck.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return neck


@both
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("extra", [None, "pool", "p6p7"])
def test_contract_of_torchvision(extra, sizes, align):
    def block() -> nn.Module | None:
        return {None: None, "pool": LastLevelMaxPool(), "p6p7": LastLevelP6P7(CHANNELS[-1], C)}[extra]

    x = maps(sizes)
    before = list(x)
    ours, theirs = ATMFPN(CHANNELS, C, block(), align=align)(x), FeaturePyramidNetwork(CHANNELS, C, block())(x)
    assert isinstance(ours, OrderedDict)
    assert list(x) == before
    assert [(name, level.shape) for name, level in ours.items()] == [(k, v.shape) for k, v in theirs.items()]


@both
def test_at_first_an_fpn_that_does_not_smooth(align):
    neck = ATMFPN(CHANNELS, C, align=align)
    theirs = FeaturePyramidNetwork(CHANNELS, C)
    theirs.load_state_dict(neck.state_dict(), strict=False)
    theirs.layer_blocks = nn.ModuleList([nn.Identity() for _ in CHANNELS])
    x = maps()
    for ours, expected in zip(neck(x).values(), theirs(x).values(), strict=True):
        error = (ours - expected).norm() / expected.norm()
        assert 0 < error < 0.05
    neck.layer_blocks = nn.ModuleList([nn.Identity() for _ in CHANNELS])
    for ours, expected in zip(neck(x).values(), theirs(x).values(), strict=True):
        torch.testing.assert_close(ours, expected)


def test_alignment_takes_from_where_the_offsets_say():
    neck = ATMFPN([4, 4], 4, align=True, share=2)
    neck.layer_blocks = nn.ModuleList([nn.Identity(), nn.Identity()])
    x = OrderedDict(fine=torch.randn(1, 4, 6, 8), coarse=torch.randn(1, 4, 3, 4))
    plain = neck(x)
    lateral = neck.inner_blocks[0](x["fine"])
    from_below = plain["fine"] - lateral
    with torch.no_grad():  # one token to the right, two up: along the width for both share groups, then the height
        neck.top_down[0].offset.proj.bias.copy_(torch.tensor([1.0, 1.0, -2.0, -2.0]))
    shifted = neck(x)["fine"] - lateral
    expected = torch.zeros_like(from_below)
    expected[:, :, 2:, :-1] = from_below[:, :, :-2, 1:]
    torch.testing.assert_close(shifted, expected)


@both
def test_every_parameter_learns(align):
    neck = ATMFPN(CHANNELS, C, LastLevelP6P7(C, C), align=align)
    sum(level.square().sum() for level in neck(maps()).values()).backward()
    for name, parameter in neck.named_parameters():
        assert parameter.grad is not None, name
        # What normalises the input of a layer that starts at zero gets its first gradient a step later.
        if not name.startswith("top_down") or "proj" in name:
            assert parameter.grad.any(), name


#: Parameters and 10^9 multiply-accumulates at 256 channels over the maps of xtiny to base, for a 512 x 512 image.
COSTS = {"fpn": (2_623_488, 13.355), "plain": (1_715_968, 6.938), "aligned": (1_916_032, 8.347)}


@pytest.mark.parametrize("kind", COSTS)
def test_cost(kind):
    """Both forms are smaller than an FPN."""
    dims = [64, 128, 320, 512]
    neck = FeaturePyramidNetwork(dims, 256) if kind == "fpn" else ATMFPN(dims, 256, align=kind == "aligned")
    for module in neck.modules():
        if isinstance(module, ATM):
            module.fold = False  # the definition; folded there are fewer
    x = OrderedDict((str(i), torch.empty(1, dim, 128 >> i, 128 >> i, device="meta")) for i, dim in enumerate(dims))
    with FlopCounterMode(display=False) as counter:
        neck.to("meta")(x)
    found = sum(p.numel() for p in neck.parameters()), counter.get_total_flops() / 2e9
    assert found == (COSTS[kind][0], pytest.approx(COSTS[kind][1], abs=1e-3))
    assert kind == "fpn" or all(cost < theirs for cost, theirs in zip(found, COSTS["fpn"], strict=True))


@both
def test_backbone_of_timm(align):
    body = timm.create_model("resnet18", features_only=True, out_indices=(1, 2, 3, 4))
    neck = ATMFPN(body.feature_info.channels(), 32, LastLevelMaxPool(), align=align)
    levels = neck(OrderedDict((str(i), level) for i, level in enumerate(body(torch.randn(1, 3, 65, 97)))))
    assert list(levels) == ["0", "1", "2", "3", "pool"]
    assert [tuple(level.shape[1:]) for level in levels.values()] == [
        (32, 17, 25), (32, 9, 13), (32, 5, 7), (32, 3, 4), (32, 2, 2)
    ]  # fmt: skip
    sum(level.sum() for level in levels.values()).backward()
    assert all(p.grad.isfinite().all() for p in [*body.parameters(), *neck.parameters()] if p.grad is not None)


@both
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_scripted(align):
    neck = moved(ATMFPN(CHANNELS, C, LastLevelP6P7(C, C), align=align)).eval()
    scripted = torch.jit.script(neck)
    for sizes in SIZES:
        x = maps(sizes)
        for (name, level), expected in zip(scripted(x).items(), neck(x).items(), strict=True):
            assert name == expected[0]
            torch.testing.assert_close(level, expected[1])


class _Listed(nn.Module):
    """Inputs and outputs of an exported program are tensors, not dicts."""

    def __init__(self, neck: nn.Module) -> None:
        super().__init__()
        self.neck = neck

    def forward(self, *levels: torch.Tensor) -> list[torch.Tensor]:
        return list(self.neck(OrderedDict((str(i), level) for i, level in enumerate(levels))).values())


def test_exported_with_dynamic_sizes():
    """Aligned, which has all that the plain form has, too."""
    neck = _Listed(moved(ATMFPN(CHANNELS, C, LastLevelP6P7(C, C), align=True)).eval())
    dynamic = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    example = tuple(maps(((37, 69), (18, 33), (9, 17))).values())
    exported = torch.export.export(neck, example, dynamic_shapes=((dynamic,) * 3,))
    program = exported.module(check_guards=False)  # PyTorch 2.9 writes guards for *levels that it cannot run
    for sizes in (((64, 40), (32, 20), (16, 10)), ((50, 71), (29, 37), (15, 38))):
        x = tuple(maps(sizes, batch=3).values())
        for level, expected in zip(program(*x), neck(*x), strict=True):
            torch.testing.assert_close(level, expected)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"^in_channels_list: got \[\]"):
        ATMFPN([], 16)
    with pytest.raises(ValueError, match=r"^in_channels_list: got \[8, 0\]"):
        ATMFPN([8, 0], 16)
    with pytest.raises(ValueError, match=r"^share: got 4, expected a divisor of dim=6"):
        ATMFPN([8], 6)
    with pytest.raises(TypeError, match=r"^extra_blocks: got Identity"):
        ATMFPN([8], 16, nn.Identity())


def test_norm_of_laterals():
    neck = ATMFPN([8], 16, norm_layer=nn.BatchNorm2d)
    assert isinstance(neck.inner_blocks[0][1], nn.BatchNorm2d)
    assert neck.inner_blocks[0][0].bias is None
