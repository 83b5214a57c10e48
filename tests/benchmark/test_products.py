"""The matrix products and convolutions of a model, recorded and replayed."""

import pytest
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from atmnet.benchmark import record_products


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.fc = nn.Linear(8, 5)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        x = self.depthwise(self.stem(x)).permute(0, 2, 3, 1)
        x = self.fc(self.norm(x).relu()).flatten(1, 2)
        return torch.softmax(x @ x.mT, -1) @ x


def flops(call, *inputs):
    with FlopCounterMode(display=False) as counter:
        call(*inputs)
    return counter.get_total_flops()


def test_what_is_recorded():
    model = Small()
    products = record_products(model, torch.randn(2, 3, 12, 10))
    told = []
    for operator, args, kwargs in products.calls:
        assert not kwargs
        shapes = [tuple(arg.shape) for arg in args if isinstance(arg, torch.Tensor)]
        told.append((operator.overloadpacket.__name__, shapes))
    assert told == [
        ("convolution", [(2, 3, 12, 10), (8, 3, 3, 3), (8,)]),
        ("convolution", [(2, 8, 6, 5), (8, 1, 3, 3)]),
        ("addmm", [(5,), (60, 8), (8, 5)]),
        ("bmm", [(2, 30, 5), (2, 5, 30)]),
        ("bmm", [(2, 30, 30), (2, 30, 5)]),
    ]
    assert len(products) == 5
    stem, depthwise, *_ = (args for _, args, _ in products.calls)
    assert stem[3:6] == [[2, 2], [1, 1], [1, 1]]  # stride, padding, dilation
    assert depthwise[8] == 8  # groups


def test_weights_are_the_model_s_and_activations_are_not_kept():
    model, image = Small(), torch.randn(2, 3, 12, 10)
    (_, (x, weight, bias, *_), _), *_, (_, (scores, _), _) = record_products(model, image).calls
    assert weight.data_ptr() == model.stem.weight.data_ptr()
    assert bias.data_ptr() == model.stem.bias.data_ptr()
    assert x.data_ptr() != image.data_ptr()
    assert scores.sum(-1).sub(1).abs().max() > 0.1


def test_layout_and_dtype_are_the_model_s():
    model = Small().to(torch.bfloat16, memory_format=torch.channels_last)
    image = torch.randn(2, 3, 12, 10).to(torch.bfloat16, memory_format=torch.channels_last)
    calls = record_products(model, image).calls
    x, weight = calls[0][1][:2]
    assert x.dtype == weight.dtype == torch.bfloat16
    assert x.is_contiguous(memory_format=torch.channels_last)
    a, b = calls[3][1]
    assert (a.is_contiguous(), b.is_contiguous(), b.mT.is_contiguous()) == (True, False, True)


def test_expanded_inputs():
    class Expanded(nn.Module):
        def forward(self, x):
            return torch.bmm(x.expand(3, 4, 5), x.new_ones(3, 5, 2))

    ((_, (a, _), _),) = record_products(Expanded(), torch.randn(1, 4, 5)).calls
    assert a.stride() == (0, 5, 1)


@pytest.mark.parametrize("name", ["atmnet_nano", "test_vit", "test_convnext", "test_resnet"])
def test_the_same_work_as_the_model(name):
    model = timm.create_model(name).eval()
    image = torch.randn(2, 3, *([32, 32] if name == "atmnet_nano" else model.default_cfg["input_size"][1:]))
    products = record_products(model, image)
    with torch.inference_mode():
        assert flops(products) == flops(model, image) > 0
