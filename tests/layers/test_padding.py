"""Padding is truncation: what comes out at a token does not depend on what its batch was padded with.

Ragged sequences, images and volumes, each alone and then together in one padded batch with a mask.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from atmnet.layers import ATM, PositionEncoding, Stage
from tests.layers.layers import randomised
from tests.ops.oracle import offsets

C, G = 8, 4
GRIDS = {
    1: [(7,), (1,), (4,)],
    2: [(3, 5), (4, 2), (1, 1)],
    3: [(2, 3, 2), (1, 2, 3)],
}


class SelfOffset(nn.Module):
    """ATM at offsets that depend on the token alone, so that the padded batch and the single one agree on them."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.atm = ATM(C, axes)
        self.offset = nn.Linear(C, axes * G)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        # As a caller with garbage in the padding must do: an offset there is a result of the garbage.
        offset = self.offset(x if mask is None else x.masked_fill(~mask.unsqueeze(-1), 0.0))
        return self.atm(x, offset, mask)


LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "atm": SelfOffset,
    "position": lambda axes: PositionEncoding(C, axes),
    "stage": lambda axes: Stage(C, 5, axes=axes, share=2, interval=2, mlp_ratio=2),
}


def padded(items: list[Tensor], fill: float) -> tuple[Tensor, Tensor]:
    """Tokens (L*, C) of different sizes as one batch (B, L*, C) filled up with ``fill``, and its mask."""
    grid = [max(sizes) for sizes in zip(*(item.shape[:-1] for item in items), strict=True)]
    batch = torch.full((len(items), *grid, C), fill, dtype=items[0].dtype)
    mask = torch.zeros(len(items), *grid, dtype=torch.bool)
    for i, item in enumerate(items):
        corner = tuple(slice(n) for n in item.shape[:-1])
        batch[i][corner] = item
        mask[i][corner] = True
    return batch, mask


@pytest.mark.parametrize("fill", [0.0, 1e4, float("nan")])
@pytest.mark.parametrize("axes", GRIDS)
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients(name, axes, fill):
    layer = randomised(LAYERS[name](axes))
    items = [torch.randn(*grid, C, dtype=torch.float64) for grid in GRIDS[axes]]
    batch, mask = padded(items, fill)

    alone = torch.cat([layer(item.unsqueeze(0)).flatten(0, -2) for item in items])
    together = layer(batch, mask)[mask]
    torch.testing.assert_close(together, alone)

    upstream = torch.randn_like(alone)
    parameters = list(layer.parameters())
    expected = torch.autograd.grad(alone, parameters, upstream)
    for ours, theirs in zip(torch.autograd.grad(together, parameters, upstream), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", LAYERS)
def test_nothing_flows_into_the_padding(name):
    layer = randomised(LAYERS[name](1))
    batch, mask = padded([torch.randn(n, C, dtype=torch.float64) for n in (6, 2)], 1.0)
    batch.requires_grad_()
    layer(batch, mask)[mask].square().sum().backward()
    assert batch.grad[mask].any(-1).all()
    assert not batch.grad[~mask].any()


@pytest.mark.parametrize("name", LAYERS)
def test_a_full_mask_is_no_mask(name):
    layer = randomised(LAYERS[name](2))
    x = torch.randn(2, 3, 4, C, dtype=torch.float64)
    torch.testing.assert_close(layer(x, torch.ones(2, 3, 4, dtype=torch.bool)), layer(x))


def test_nan_offsets_in_the_padding_stay_there():
    layer = randomised(ATM(C, 1))
    batch, mask = padded([torch.randn(n, C, dtype=torch.float64) for n in (6, 2)], 0.0)
    offset = offsets(2, 6, G)
    expected = layer(batch, offset, mask)[mask]
    offset[~mask] = float("nan")
    assert layer(batch, offset, mask)[mask].equal(expected)


def test_an_image_without_any_token_is_no_division_by_zero():
    layer = randomised(Stage(C, 2, axes=1, share=2))
    x = torch.randn(2, 4, C, dtype=torch.float64)
    mask = torch.tensor([[True] * 4, [False] * 4])
    out = layer(x, mask)
    torch.testing.assert_close(out[:1], layer(x[:1]))
    out[mask].sum().backward()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize(
    "mask", [torch.ones(2, 3), torch.ones(3, 2, dtype=torch.bool)], ids=["floats", "another shape"]
)
def test_no_mask(mask):
    with pytest.raises(ValueError, match=r"mask: got .*, expected bool .*2, 3"):
        ATM(4, 1)(torch.randn(2, 3, 4), torch.zeros(2, 3, 4), mask)
