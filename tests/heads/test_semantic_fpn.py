"""The head of Semantic FPN."""

import pytest
import torch
from torch import nn

from atmnet.heads import SemanticFPNHead

SIZES = [((32, 48), (16, 24), (8, 12), (4, 6)), ((8, 100), (4, 50), (2, 25), (1, 13)), ((9, 7), (5, 3), (5, 3), (2, 1))]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_any_sizes(sizes):
    head = SemanticFPNHead(16, 4, 5, channels=32)
    logits = head([torch.randn(2, 16, *size) for size in sizes])
    assert logits.shape == (2, 5, *sizes[0])
    logits.square().sum().backward()
    assert all(p.grad.any() for p in head.parameters())


def test_convolutions_until_stride_4():
    head = SemanticFPNHead(256, 4, 150)
    convs = [
        [(m.in_channels, m.out_channels) for m in branch.modules() if isinstance(m, nn.Conv2d)]
        for branch in head.branches
    ]
    first, next_ = (256, 128), (128, 128)
    assert convs == [[first], [first], [first, next_], [first, next_, next_]]
    assert sum(isinstance(m, nn.GroupNorm) for m in head.modules()) == 7
    # Seven 3x3 convolutions without bias, whose norms have 2 x 128 parameters each, and the classifier.
    assert sum(p.numel() for p in head.parameters()) == 9 * 128 * (4 * 256 + 3 * 128) + 7 * 256 + 129 * 150


def test_levels_are_summed():
    head = SemanticFPNHead(8, 3, 2, channels=32).eval()
    maps = [torch.randn(1, 8, 16 >> i, 16 >> i) for i in range(3)]
    bias = head.classifier.bias.detach()
    alone = 0
    for i, level in enumerate(maps):
        single = SemanticFPNHead(8, 3, 2, channels=32).eval()
        single.load_state_dict(head.state_dict())
        for k, branch in enumerate(single.branches):
            if k != i:  # silent: their last norm gives zero
                nn.init.zeros_(branch[-1][1].weight)
        alone = alone + single([m if m is level else torch.zeros_like(m) for m in maps]) - bias[:, None, None]
    torch.testing.assert_close(head(maps), alone + bias[:, None, None])


def test_dropout_in_training_alone():
    head = SemanticFPNHead(8, 1, 2, channels=32, dropout=0.5)
    x = [torch.randn(1, 8, 4, 4)]
    assert not head(x).equal(head(x))
    head.eval()
    assert head(x).equal(head(x))
