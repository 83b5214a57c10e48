"""The loss of segmentation."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atmnet.data.targets import IGNORE
from atmnet.tasks.segmentation import SegmentationTask
from atmnet_cli.errors import UserError
from atmnet_cli.options import DenseOptions, WindowOptions


def loss_of(logits: torch.Tensor, targets: torch.Tensor, weights: list[float] | None) -> torch.Tensor:
    network: Any = SimpleNamespace(dense=DenseOptions(class_weights=weights), classes=["a", "b", "c"], model=None)
    return SegmentationTask(network, WindowOptions()).loss(lambda images: [images], logits, targets, [0])


@pytest.mark.parametrize("weights", [None, [1, 4, 0.5], [0.02, 0, 0.01]])
def test_weighted_mean_as_torch_has_it(weights):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 7, generator=generator)
    targets = torch.randint(3, (2, 5, 7), generator=generator)
    targets[0, :2] = IGNORE
    given = None if weights is None else torch.tensor(weights)
    expected = F.cross_entropy(logits, targets, given, ignore_index=IGNORE)
    torch.testing.assert_close(loss_of(logits, targets, weights), expected)


def test_scale_of_weights_does_not_matter():
    logits, targets = torch.randn(1, 3, 4, 4), torch.randint(3, (1, 4, 4))
    losses = [loss_of(logits, targets, [scale * weight for weight in (1.0, 2.0, 3.0)]) for scale in (1e-3, 1.0, 1e3)]
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(losses[2], losses[1])


@pytest.mark.parametrize("weights", [None, [1, 0, 0]])
def test_no_pixel_that_counts(weights):
    """All ignored, or all of a class that weighs nothing."""
    targets = torch.full((1, 4, 4), IGNORE if weights is None else 1)
    assert loss_of(torch.randn(1, 3, 4, 4), targets, weights) == 0


@pytest.mark.parametrize("weights", [[1.0, 2.0], [1, 1, -1], [0, 0, 0], [1, 1, float("nan")], [1, 1, float("inf")]])
def test_bad_weights(weights):
    with pytest.raises(UserError, match=r"dense\.class_weights: got .*, expected a number for each of the 3 classes"):
        loss_of(torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4).long(), weights)


def test_mirroring_reaches_the_label_maps():
    torch.manual_seed(0)
    model, image, empty = nn.Conv2d(3, 4, 3, padding=1), torch.randn(3, 16, 24), torch.zeros(16, 24)
    network: Any = SimpleNamespace(dense=DenseOptions(), classes=list("abcd"), model=model)
    for flip in (False, True):
        (labels,) = SegmentationTask(network, WindowOptions(), flip=flip).outputs(model, [image], [empty])
        (of_mirrored,) = SegmentationTask(network, WindowOptions(), flip=flip).outputs(model, [image.flip(-1)], [empty])
        assert torch.equal(labels, of_mirrored.flip(-1)) == flip
