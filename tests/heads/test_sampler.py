"""What is drawn for an image depends on its own seed, and everything drawn is counted."""

import pytest
import torch
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

from atmnet.heads import PositionSampler


def labels(positives: int, negatives: int, ignored: int = 3) -> torch.Tensor:
    kinds = torch.cat([torch.full((positives,), 2), torch.zeros(negatives), torch.full((ignored,), -1)]).long()
    return kinds[torch.randperm(len(kinds), generator=torch.Generator().manual_seed(positives))]


BATCH = [labels(40, 50), labels(3, 100), labels(0, 9)]


def test_without_seeds_as_torchvision():
    torch.manual_seed(5)
    expected = BalancedPositiveNegativeSampler(20, 0.25)(BATCH)
    torch.manual_seed(5)
    for masks, others in zip(PositionSampler(20, 0.25)(BATCH), expected, strict=True):
        assert all(mask.equal(other) for mask, other in zip(masks, others, strict=True))


def test_draws_what_was_asked_for():
    sampler = PositionSampler(20, 0.25)
    sampler.start([1, 2, 3])
    positive, negative = sampler(BATCH)
    assert [int(mask.sum()) for mask in positive] == [5, 3, 0]
    assert [int(mask.sum()) for mask in negative] == [15, 17, 9]
    for kinds, plus, minus in zip(BATCH, positive, negative, strict=True):
        assert (kinds[plus.bool()] > 0).all()
        assert (kinds[minus.bool()] == 0).all()


def drawn(sampler: PositionSampler, images: list[int], seeds: list[int]) -> list[torch.Tensor]:
    sampler.start(seeds)
    return [torch.cat(pair) for pair in zip(*sampler([BATCH[i] for i in images]), strict=True)]


def test_an_image_does_not_depend_on_its_batch():
    together = drawn(PositionSampler(20, 0.25), [0, 1, 2], [7, 8, 9])
    torch.manual_seed(99)
    assert drawn(PositionSampler(20, 0.25), [1], [8])[0].equal(together[1])
    assert not drawn(PositionSampler(20, 0.25), [1], [9])[0].equal(together[1])


def test_calls_and_streams_differ_and_repeat():
    sampler = PositionSampler(20, 0.25)
    sampler.start([7])
    first, second = sampler([BATCH[0]]), sampler([BATCH[0]])
    assert not first[1][0].equal(second[1][0])
    sampler.start([7])
    assert sampler([BATCH[0]])[1][0].equal(first[1][0])
    other = PositionSampler(20, 0.25, stream=1)
    other.start([7])
    assert not other([BATCH[0]])[1][0].equal(first[1][0])


def test_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    drawn(PositionSampler(20, 0.25), [0, 1], [1, 2])
    assert torch.get_rng_state().equal(state)


def test_counts():
    sampler = PositionSampler(20, 0.25, per_position=("a", "b"), per_positive=("c",))
    sampler.start([1, 2, 3])
    assert sampler.counts() == {"a": 0, "b": 0, "c": 0}
    sampler(BATCH)
    sampler(BATCH)  # of the latest call
    assert sampler.counts() == {"a": 49, "b": 49, "c": 8}
    assert all(count.shape == () for count in sampler.counts().values())


def test_one_seed_for_each_image():
    sampler = PositionSampler(20, 0.25)
    sampler.start([1, 2])
    with pytest.raises(ValueError, match=r"^seeds: got 2, expected one for each of 3 images"):
        sampler(BATCH)
