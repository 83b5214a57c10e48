"""Who reads a token is the exact inverse of what tokens read."""

import math
from collections import Counter

import pytest
import torch

from atmnet.explore.reads import heat, readers_of, reads_of
from atmnet.ops import sample_along


def _offsets(height: int, width: int, groups: int = 3, reach: float = 3.0) -> torch.Tensor:
    offsets = torch.randn(2, height, width, groups) * reach
    offsets[:, 0, 0, 0] = torch.tensor([1.0, -0.0])  # exactly on a token, which is then the only one
    offsets[0, -1, -1] = math.nan
    offsets[1, -1, -1] = math.inf
    return offsets


def _tokens(height: int, width: int) -> list[tuple[int, int]]:
    return [(row, column) for row in range(height) for column in range(width)]


def _rows(reads) -> Counter:
    return Counter(zip(*(part.tolist() for part in reads), strict=True))


@pytest.mark.parametrize("size", [(5, 7), (1, 6), (6, 1), (1, 1)])
def test_both_directions_give_the_same_multiset(size):
    offsets = _offsets(*size)
    forward = sum((_rows(reads_of(offsets, *token)) for token in _tokens(*size)), Counter())
    backward = sum((_rows(readers_of(offsets, *token)) for token in _tokens(*size)), Counter())
    assert forward == backward
    assert max(forward.values(), default=1) == 1


def test_reads_are_what_the_operator_samples():
    height, width, groups = 4, 5, 2
    offsets = torch.randn(2, height, width, groups, dtype=torch.float64) * 2
    x = torch.randn(height, width, groups, dtype=torch.float64)
    for axis, dim in ((0, 1), (1, 0)):
        sampled = sample_along(x[None], offsets[axis][None], dim - 3, backend="reference")[0]
        for row, column in _tokens(height, width):
            reads = reads_of(offsets, row, column)
            total = torch.zeros(groups, dtype=torch.float64)
            along = reads.axis == axis
            values = x.flatten(0, 1)[reads.source[along], reads.group[along]] * reads.share[along]
            total.index_add_(0, reads.group[along], values)
            torch.testing.assert_close(total, sampled[row, column])


def test_heat_counts_fusion_weights():
    offsets = torch.zeros(2, 3, 3, 2)
    offsets[0, 1, 0, 0] = 1.5  # token (1, 0) reads halfway between (1, 1) and (1, 2) with its first group
    weights = torch.tensor([[0.5, 0.1], [0.2, 0.3], [0.3, 0.6]])
    amount = heat(offsets, weights, 1, 1)
    expected = torch.zeros(3, 3, dtype=torch.float64)
    expected[1, 0] = 0.5 * 0.5 / 2
    expected[1, 1] = (0.5 + 0.1 + 0.2 + 0.3) / 2  # all groups of the token itself, along both axes
    torch.testing.assert_close(amount, expected, atol=1e-7, rtol=0)
