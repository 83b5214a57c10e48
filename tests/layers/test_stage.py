"""The stage: when offsets are renewed, what it refuses, and what it hands to its blocks."""

import pytest
import torch

from atmnet.layers import Block, Downsample, OffsetPredictor, PositionEncoding, Stage, group_starts
from tests.layers.layers import randomised


@pytest.mark.parametrize(
    ("depth", "interval", "expected"),
    [
        (2, 2, [0]),
        (3, 2, [0]),  # block 2 is due but last
        (4, 2, [0, 2]),
        (5, 2, [0, 2]),
        (10, 2, [0, 2, 4, 6, 8]),
        (18, 6, [0, 6, 12]),
        (24, 6, [0, 6, 12, 18]),
        (27, 6, [0, 6, 12, 18, 24]),
        (7, 6, [0]),
        (4, 1, [0, 1, 2]),
        (2, 100, [0]),
    ],
)
def test_renewals(depth, interval, expected):
    assert group_starts(depth, interval) == expected
    stage = Stage(8, depth, interval=interval, mlp_ratio=1)
    assert [len(group.blocks) for group in stage.groups] == [
        end - start for start, end in zip(expected, [*expected[1:], depth], strict=True)
    ]


@pytest.mark.parametrize("depth", [1, 0, -1])
def test_too_shallow(depth):
    with pytest.raises(ValueError, match=rf"^depth: got {depth}, expected at least 2"):
        Stage(8, depth)


@pytest.mark.parametrize("interval", [0, -2])
def test_no_interval(interval):
    with pytest.raises(ValueError, match=rf"^interval: got {interval}, expected at least 1"):
        Stage(8, 4, interval=interval)


@pytest.mark.parametrize("rates", [[0.1], [0.1] * 5, []])
def test_one_drop_path_rate_a_block(rates):
    with pytest.raises(ValueError, match=rf"^drop_path: got {len(rates)} rates, expected one for each of 4 blocks"):
        Stage(8, 4, drop_path=rates)


def test_drop_path_rates_go_to_the_blocks_in_order():
    rates = [0.0, 0.1, 0.2, 0.3, 0.4]
    stage = Stage(8, 5, interval=2, drop_path=rates)
    blocks = [block for group in stage.groups for block in group.blocks]
    assert [getattr(block.drop_path, "drop_prob", 0.0) for block in blocks] == rates


def test_both_branches_of_a_block_may_be_dropped():
    block, x = randomised(Block(8, drop_path=1.0)), torch.randn(3, 4, 4, 8, dtype=torch.float64)
    offset = torch.zeros(3, 4, 4, 16)
    assert block.train()(x, offset).equal(x)
    assert not block.eval()(x, offset).equal(x)


@pytest.mark.parametrize("axes", [0, 4])
def test_axes_that_no_convolution_has(axes):
    with pytest.raises(ValueError, match=rf"^axes: got {axes}, expected 1, 2 or 3"):
        PositionEncoding(8, axes)


def test_order_of_events():
    """Position encoding, then offsets from what it gives, then the blocks of the group, all at those offsets."""
    stage = randomised(Stage(8, 5, interval=2, share=2))
    events = []
    for name, module in stage.named_modules():
        if isinstance(module, PositionEncoding | OffsetPredictor) or name.endswith(".atm"):
            module.register_forward_hook(lambda _, args, out, name=name: events.append((name, args, out)))
    stage(torch.randn(1, 4, 4, 8, dtype=torch.float64))

    names = [name for name, *_ in events]
    assert names == [
        "pos_embed", "groups.0.offset", "groups.0.blocks.0.atm", "groups.0.blocks.1.atm",
        "pos_embed", "groups.1.offset", "groups.1.blocks.0.atm", "groups.1.blocks.1.atm", "groups.1.blocks.2.atm",
    ]  # fmt: skip
    for first, last in ((0, 4), (4, 9)):
        encoded, offset = events[first][2], events[first + 1]
        assert offset[1][0] is encoded
        assert all(args[1] is offset[2] for _, args, _ in events[first + 2 : last])


def test_blocks_are_residual():
    """With every last projection at zero the blocks pass tokens through and only the position encoding is left."""
    stage = randomised(Stage(8, 4, interval=2, share=2))
    for group in stage.groups:
        for block in group.blocks:
            for last in (block.atm.proj, block.mlp.fc2):
                torch.nn.init.zeros_(last.weight)
                torch.nn.init.zeros_(last.bias)
    x = torch.randn(2, 3, 4, 8, dtype=torch.float64)
    torch.testing.assert_close(stage(x), stage.pos_embed(stage.pos_embed(x)))


def test_downsample_comes_first_and_the_mask_fits_what_follows():
    stage = Stage(8, 2, downsample=Downsample(4, 8))
    x = torch.randn(2, 5, 6, 4)
    assert stage(x).shape == (2, 3, 3, 8)
    assert stage(x, torch.ones(2, 3, 3, dtype=torch.bool)).shape == (2, 3, 3, 8)
