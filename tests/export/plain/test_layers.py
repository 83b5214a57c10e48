"""Sampling between taps is sampling along an axis."""

import pytest
import torch

from atmnet.export.plain.layers import Restore, sample, taps
from atmnet.export.plain.reorder import interleaved
from atmnet.ops import sample_along

GRIDS = [(7,), (1,), (2,), (5, 3), (1, 1), (4, 1), (2, 3, 5)]


@pytest.mark.parametrize("reach", [0.4, 3.0, 1e6, 0.0])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_taps(grid, reach):
    groups, share = 3, 4
    x = torch.randn(2, *grid, groups * share, dtype=torch.float64)
    order = interleaved(groups * share, groups)
    for dim in range(1, len(grid) + 1):
        offset = reach * torch.randn(2, *grid, groups, dtype=torch.float64)
        at = taps(offset.unsqueeze(-2), dim, x.dtype)
        ours = Restore(groups)(sample(x[..., order].unflatten(-1, (share, groups)), at, dim).flatten(-2))
        torch.testing.assert_close(ours, sample_along(x, offset, dim, backend="reference"), rtol=0, atol=1e-9)


@pytest.mark.parametrize("value", [-1.0, -0.5, 0.0, 0.5, 4.0, 4.5, 5.0, 1e30, -1e30, float("inf"), -float("inf")])
def test_border_and_beyond(value):
    """Positions at and outside the border of five tokens, whole and not."""
    x = torch.randn(1, 5, 1, dtype=torch.float64)
    here = torch.arange(5, dtype=torch.float64).view(1, 5, 1)
    at = taps((value - here).unsqueeze(-2), 1, x.dtype)
    assert all(0 <= int(index.min()) <= int(index.max()) <= 4 for index in (at.left, at.right))
    expected = sample_along(x, value - here, 1, backend="reference")
    torch.testing.assert_close(sample(x.unsqueeze(-1), at, 1).squeeze(-1), expected)


def test_interleaved():
    """Place s * G + g holds channel g * S + s."""
    assert interleaved(6, 2).tolist() == [0, 3, 1, 4, 2, 5]
