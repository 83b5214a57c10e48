"""Content followed back through blocks and stages."""

import pytest
import torch

from atmnet.explore.trace import TracedBlock, trace
from atmnet.report.field import Fusion

THIRDS = torch.full((3, 2), 1 / 3)


def _block(offsets: torch.Tensor, weights: torch.Tensor = THIRDS, kept: float = 0.0, group: int = 0) -> TracedBlock:
    return TracedBlock(offsets, Fusion(weights, kept), group)


def test_one_block_moves_what_it_lets_through():
    offsets = torch.zeros(2, 4, 4, 2)
    offsets[0, 1, 1] = torch.tensor([2.0, 1.5])
    offsets[1, 1, 1] = torch.tensor([-5.0, 0.0])
    weights = torch.tensor([[0.5, 0.2], [0.25, 0.4], [0.25, 0.4]])
    result = trace([_block(offsets, weights, kept=0.5, group=7)], 1, 1)
    expected = torch.zeros(4, 4, dtype=torch.float64)
    expected[1, 3] = 0.5 * (0.5 + 0.2 / 2) / 2
    expected[1, 2] = 0.5 * (0.2 / 2) / 2
    expected[1, 1] = 0.5 + 0.5 * (0.25 + 0.4 + 0.4) / 2
    torch.testing.assert_close(result.origin, expected, atol=1e-7, rtol=0)
    assert result.outside == pytest.approx(0.5 * 0.25 / 2)
    assert [(link.group, link.source, link.reader) for link in result.links] == [
        (7, (1, 3), (1, 1)),
        (7, (1, 2), (1, 1)),
    ]
    assert [link.amount for link in result.links] == pytest.approx([0.15, 0.025])


@pytest.mark.parametrize("sizes", [[(9, 7), (5, 4), (3, 2)], [(2, 1), (1, 1)], [(4, 4), (4, 4)]])
def test_content_is_not_made_or_lost_inside_the_picture(sizes):
    blocks = [_block(torch.zeros(2, *size, 2), kept=0.3) for size in sizes]
    result = trace(blocks, 0, 0)
    assert result.origin.shape == sizes[0]
    assert result.origin.sum().item() == pytest.approx(1)
    assert result.outside == pytest.approx(0, abs=1e-6)
    assert result.links == []


def test_stages_spread_over_the_window_of_the_convolution():
    result = trace([_block(torch.zeros(2, 6, 6, 2)), _block(torch.zeros(2, 3, 3, 2))], 1, 1)
    expected = torch.zeros(6, 6, dtype=torch.float64)
    expected[1:4, 1:4] = 1 / 9
    torch.testing.assert_close(result.origin, expected, atol=1e-6, rtol=0)


def test_the_origin_is_the_gradient_of_a_linear_network():
    """A network of sampling, fusion and residual connections alone, through which autograd follows content as well."""
    from atmnet.ops import sample_along

    height, width, groups = 4, 5, 2
    blocks = [
        _block(
            torch.randn(2, height, width, groups, dtype=torch.float64),
            torch.rand(3, groups, dtype=torch.float64).softmax(0),
            kept=0.4,
        )
        for _ in range(3)
    ]
    x = torch.zeros(1, height, width, groups, dtype=torch.float64, requires_grad=True)
    y = x
    for offsets, (weights, kept), _ in blocks:
        along = [sample_along(y, offsets[axis][None], dim, backend="reference") for axis, dim in ((0, 2), (1, 1))]
        mixed = sum(weight * part for weight, part in zip(weights, [*along, y], strict=True))
        y = kept * y + (1 - kept) * mixed
        y = y.mean(-1, keepdim=True).expand_as(y)  # the matrices mix the channels; here, evenly
    (gradient,) = torch.autograd.grad(y[0, 2, 3].mean(), x)
    torch.testing.assert_close(trace(blocks, 2, 3).origin, gradient[0].sum(-1), atol=1e-9, rtol=1e-9)
