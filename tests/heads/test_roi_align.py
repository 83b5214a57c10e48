"""RoIAlign is torchvision's, with strides that are known; aligned it reads pixels' centres."""

from collections import OrderedDict

import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign, roi_align

from atmnet.heads import RoIAlign

STRIDES = (4, 8, 16, 32)


def pyramid(height: int, width: int, batch: int = 2) -> "OrderedDict[str, torch.Tensor]":
    return OrderedDict((str(i), torch.randn(batch, 3, height // s, width // s)) for i, s in enumerate(STRIDES))


def boxes(n: int, height: int, width: int) -> torch.Tensor:
    """Of many sizes, so of many levels; the first of one pixel, at the border, the second the whole image."""
    corners = torch.rand(n, 2, 2) ** 2 * torch.tensor([width, height])
    found = torch.cat([corners.amin(1), corners.amax(1) + 1], 1)
    found[0] = torch.tensor([width - 1, height - 1, width, height])
    found[1] = torch.tensor([0, 0, width, height])
    return found


def test_not_aligned_is_torchvisions():
    maps, rois = pyramid(256, 320), [boxes(40, 250, 300), boxes(30, 256, 290)]
    sizes = [(250, 300), (256, 290)]
    theirs = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
    assert RoIAlign(STRIDES, 7)(maps, rois, sizes).equal(theirs(maps, rois, sizes))


@pytest.mark.parametrize(("height", "width"), [(33, 400), (17, 17), (65, 70)])
def test_small_images_do_not_change_the_strides(height, width):
    """Where torchvision guesses from an image of 33 pixels padded to 64, it finds stride 2, and keeps it."""
    padded = [-(-side // 32) * 32 for side in (height, width)]
    maps, rois = pyramid(*padded, batch=1), [boxes(20, height, width)]
    pool = RoIAlign(STRIDES, 7)
    expected = pool(maps, rois, [(padded[0], padded[1])])
    assert pool(maps, rois, [(height, width)]).equal(expected)
    assert not MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)(maps, rois, [(height, width)]).equal(expected)


def test_aligned():
    """By hand: each box from the level that torchvision chooses for it."""
    maps, rois = pyramid(256, 320), [boxes(40, 250, 300), boxes(30, 256, 290)]
    pool = RoIAlign(STRIDES, 7, aligned=True)
    out = pool(maps, rois, [(250, 300), (256, 290)])
    every = torch.cat(rois)
    sides = ((every[:, 2] - every[:, 0]) * (every[:, 3] - every[:, 1])).sqrt()
    levels = (4 + torch.log2(sides / 224) + 1e-6).floor().clamp(2, 5).long() - 2
    assert set(levels.tolist()) >= {0, 1, 2}
    for i, (level, box) in enumerate(zip(levels.tolist(), every, strict=True)):
        roi = torch.cat([torch.tensor([0.0 if i < 40 else 1.0]), box])[None]
        cells = roi_align(maps[str(level)], roi, 7, 1 / STRIDES[level], 2, aligned=True)
        torch.testing.assert_close(out[i], cells[0])


def test_aligned_reads_centres():
    """A ramp that says at each token where its centre is: a cell's value is where the cell's centre is."""
    centres = (torch.arange(64) + 0.5) * 4
    maps = {"0": torch.stack([centres.expand(64, 64), centres[:, None].expand(64, 64)])[None]}
    box = torch.tensor([[40.0, 60.0, 54.0, 130.0]])
    across, down = RoIAlign((4,), 7, aligned=True)(maps, [box], [(256, 256)])[0]
    torch.testing.assert_close(across[0], 40 + 2 * (torch.arange(7) + 0.5))
    torch.testing.assert_close(down[:, 0], 60 + 10 * (torch.arange(7) + 0.5))
    shifted = RoIAlign((4,), 7)(maps, [box], [(256, 256)])[0, 0, 0]
    torch.testing.assert_close(shifted, across[0] + 2)  # half a token


@pytest.mark.parametrize("aligned", [False, True])
def test_no_boxes(aligned):
    assert RoIAlign(STRIDES, 7, aligned=aligned)(pyramid(64, 64, 1), [torch.zeros(0, 4)], [(64, 64)]).shape == (
        0,
        3,
        7,
        7,
    )
