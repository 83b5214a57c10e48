"""Mixup and CutMix mix neighbours, whatever way a step's batch is cut over processes and parts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from atmnet.tasks import Mixer, classification_loss
from atmnet_cli.options import AugmentOptions

BATCH, CLASSES = 16, 20
MIXES = [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}, {"mixup": 0.8, "mix_prob": 0.5}]


def _batch():
    """Each image and class is its own."""
    images = torch.rand(BATCH, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    return images, torch.arange(BATCH)


def _mixed(mixer, images, targets, shares, seed):
    """All shares' images and targets, each share with the same random numbers as the others; sorted by target."""
    outs = []
    for share_images, share_targets in zip(images.chunk(shares), targets.chunk(shares), strict=True):
        np.random.seed(seed)  # noqa: NPY002 - timm draws from the global generator
        outs.append(mixer(share_images.clone(), share_targets))
    mixed, soft = (torch.cat(parts) for parts in zip(*outs, strict=True))
    order = np.lexsort(soft.numpy().T)
    return mixed[order], soft[order]


@pytest.mark.parametrize("mix", MIXES, ids=str)
def test_targets_sum_to_one_and_mix_neighbours(mix):
    mixer = Mixer(AugmentOptions(**mix, label_smoothing=0.0), CLASSES)
    assert mixer.pairs
    for seed in range(20):
        _, soft = _mixed(mixer, *_batch(), 1, seed)
        torch.testing.assert_close(soft.sum(1), torch.ones(BATCH))
        for row in soft:
            present = row.nonzero().flatten().tolist()
            assert len(present) == 1 or (len(present) == 2 and present[0] % 2 == 0 and present[1] == present[0] + 1)


@pytest.mark.parametrize("shares", [2, 4, 8])
@pytest.mark.parametrize("mix", MIXES, ids=str)
def test_the_same_in_one_share_and_in_many(mix, shares):
    mixer = Mixer(AugmentOptions(**mix, label_smoothing=0.1), CLASSES)
    changed = 0
    for seed in range(10):
        whole = _mixed(mixer, *_batch(), 1, seed)
        cut = _mixed(mixer, *_batch(), shares, seed)
        assert whole[0].equal(cut[0])
        assert whole[1].equal(cut[1])
        changed += int((whole[1].max(1).values < 0.85).any())
    assert changed > 2


def test_image_and_target_are_mixed_alike():
    """With images that are their one-hot targets, mixed images are the mixed targets."""
    images = F.one_hot(torch.arange(BATCH), CLASSES).float()[:, :, None, None].expand(-1, -1, 8, 8)
    for mix in ({"mixup": 0.8}, {"cutmix": 1.0}):
        for seed in range(10):
            mixer = Mixer(AugmentOptions(**mix), CLASSES)
            np.random.seed(seed)  # noqa: NPY002
            mixed, soft = mixer(images.clone(), torch.arange(BATCH))
            torch.testing.assert_close(mixed.mean((2, 3)), soft)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_without_mixing_it_is_label_smoothing(smoothing):
    mixer = Mixer(AugmentOptions(label_smoothing=smoothing), CLASSES)
    assert not mixer.pairs
    images, targets = _batch()
    logits = torch.randn(BATCH, CLASSES)
    same, soft = mixer(images[:15], targets[:15])
    assert same.equal(images[:15])
    expected = F.cross_entropy(logits[:15], targets[:15], label_smoothing=smoothing)
    torch.testing.assert_close(classification_loss(logits[:15], soft), expected)


def test_loss_of_half_precision_is_taken_in_float32():
    logits = (torch.randn(4, CLASSES) * 5).half()
    soft = torch.full((4, CLASSES), 1 / CLASSES)
    loss = classification_loss(logits, soft)
    assert loss.dtype == torch.float32
    assert loss == classification_loss(logits.float(), soft)
