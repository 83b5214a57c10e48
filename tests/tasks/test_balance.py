"""Classes of different frequency, in the loss and in the order of images."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from atmnet.data.inventory import Inventory
from atmnet.data.sampler import StepSampler
from atmnet.tasks.balance import class_groups, class_weights
from atmnet.tasks.mixing import classification_loss
from atmnet_cli.errors import UserError


class Uneven:
    """12 images of a, 3 of b, 1 of c."""

    def __init__(self, labels=(0,) * 12 + (1,) * 3 + (2,)):
        self.classes, self._labels = ["a", "b", "c"], list(labels)

    def __len__(self):
        return 16

    def inventory(self):
        return Inventory(self.classes, [], [], self._labels)


def test_balanced_weights():
    weights = class_weights("balanced", Uneven())
    torch.testing.assert_close(weights, 16 / (3 * torch.tensor([12.0, 3.0, 1.0])))
    assert (weights * torch.tensor([12, 3, 1])).sum() / 16 == pytest.approx(1)


def test_own_weights_are_scaled_to_a_mean_of_one():
    weights = class_weights({"b": 2.0, "a": 1.0, "c": 4.0}, Uneven())
    torch.testing.assert_close(weights, torch.tensor([1.0, 2.0, 4.0]) * 16 / (12 + 6 + 4))


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({"a": 1.0, "b": 1.0}, r"missing: \['c'\]"),
        ({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}, r"unknown: \['d'\]"),
        ({"a": 1.0, "b": 0.0, "c": 1.0}, "got b: 0.0, expected positive"),
        ({"a": 1.0, "b": float("nan"), "c": 1.0}, "got b: nan"),
    ],
)
def test_wrong_weights(chosen, reason):
    with pytest.raises(UserError, match=f"class_weights: .*{reason}"):
        class_weights(chosen, Uneven())


def test_labels_that_are_not_listed():
    with pytest.raises(UserError, match="sampling: this data source does not list its labels"):
        class_groups(Uneven(labels=()), "sampling")


def test_the_weighted_loss():
    """By hand; and the loss of a batch is the mean of those of its halves."""
    generator = torch.Generator().manual_seed(0)
    logits, weights = torch.randn(4, 3, generator=generator), torch.tensor([0.5, 1.0, 3.0])
    targets = F.one_hot(torch.tensor([0, 2, 1, 2]), 3).float() * 0.9 + 0.1 / 3
    loss = classification_loss(logits, targets, weights)
    torch.testing.assert_close(loss, -(weights * targets * logits.log_softmax(1)).sum() / 4)
    halves = [classification_loss(logits[part], targets[part], weights) for part in (slice(2), slice(2, 4))]
    torch.testing.assert_close(loss, sum(halves) / 2)


def _labels(sampler):
    labels = [0] * 12 + [1] * 3 + [2]
    return [[labels[key.index] for key in batch] for batch in sampler]


@pytest.mark.parametrize("repeats", [1, 2])
def test_balanced_epochs(repeats):
    groups = class_groups(Uneven(), "sampling")
    sampler = StepSampler(16, batch_size=6, repeats=repeats, groups=groups, epoch_steps=4, total_steps=8)
    batches = _labels(sampler)
    for epoch in (batches[:4], batches[4:]):
        assert Counter(label for batch in epoch for label in batch) == {0: 8, 1: 8, 2: 8}
    assert batches[:4] != batches[4:]


def test_all_images_of_a_class_come_before_one_comes_again():
    groups = class_groups(Uneven(), "sampling")
    order = StepSampler(16, batch_size=12, groups=groups, epoch_steps=1, total_steps=1).order(0).tolist()
    counts = Counter(index for index in order if index in (12, 13, 14))
    assert sorted(counts.values()) == [1, 1, 2]


def test_processes_and_resumed_runs_take_the_same_order():
    groups, size = class_groups(Uneven(), "sampling"), {"batch_size": 4, "epoch_steps": 3, "total_steps": 6}
    whole = [[key.index for key in batch] for batch in StepSampler(16, groups=groups, **size)]
    later = [[key.index for key in batch] for batch in StepSampler(16, groups=groups, start_step=4, **size)]
    shares = [
        [[key.index for key in batch] for batch in StepSampler(16, groups=groups, world=2, rank=rank, **size)]
        for rank in (0, 1)
    ]
    assert later == whole[4:]
    assert [first + second for first, second in zip(*shares, strict=True)] == whole
