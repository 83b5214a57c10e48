"""The order of training images is a function of counters, however it is cut over processes and parts."""

import itertools

import pytest

from atmnet.data import StepSampler


def _keys(length=24, batch_size=8, total_steps=6, **options):
    return list(StepSampler(length, batch_size=batch_size, total_steps=total_steps, **options))


def test_every_image_once_an_epoch():
    batches = _keys()
    for epoch in range(2):
        keys = [key for batch in batches for key in batch if key.epoch == epoch]
        assert [key.position for key in keys] == list(range(24))
        assert sorted(key.index for key in keys) == list(range(24))


def test_a_rest_is_left_out_and_another_one_next_epoch():
    batches = _keys(length=21, total_steps=8)
    epochs = [[key.index for batch in batches[n : n + 2] for key in batch] for n in range(0, 8, 2)]
    assert all(len(set(indices)) == 16 for indices in epochs)
    assert len({frozenset(range(21)) - frozenset(indices) for indices in epochs}) > 1


def test_an_epoch_of_several_passes():
    """Every image as often, give or take one, and each pass in an order of its own."""
    batches = _keys(length=20, batch_size=8, epoch_steps=6, total_steps=12)
    for epoch in range(2):
        keys = [key for batch in batches for key in batch if key.epoch == epoch]
        assert [key.position for key in keys] == list(range(48))
        first, second = ([key.index for key in keys[n : n + 20]] for n in (0, 20))
        assert sorted(first) == sorted(second) == list(range(20))
        assert first != second
    rest = list(StepSampler(20, batch_size=8, epoch_steps=6, start_step=7, total_steps=12))
    assert rest == batches[7:]
    assert len(_keys(length=5, batch_size=8, epoch_steps=3, total_steps=3)) == 3


def test_order_differs_by_epoch_and_seed():
    orders = [StepSampler(24, batch_size=8, total_steps=9, seed=seed).order(epoch) for seed, epoch in
              ((0, 0), (0, 1), (1, 0), (1, 1))]  # fmt: skip
    assert len({tuple(order.tolist()) for order in orders}) == 4


@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize(("world", "parts"), [(1, 2), (2, 1), (2, 2), (4, 1), (1, 8), (8, 1)])
def test_shares_in_order_are_the_batch_of_one_process(world, parts, repeats):
    whole = _keys(repeats=repeats)
    samplers = [
        StepSampler(24, batch_size=8, total_steps=6, parts=parts, world=world, rank=rank, repeats=repeats)
        for rank in range(world)
    ]
    assert [len(sampler) for sampler in samplers] == [6 * parts] * world
    shares = [list(sampler) for sampler in samplers]
    for step, batch in enumerate(whole):
        joined = [key for part in range(parts) for rank in range(world) for key in shares[rank][step * parts + part]]
        assert joined == batch
    for rank, sampler in enumerate(samplers):
        for part in range(parts):
            assert sampler.first_position(part) == shares[rank][part][0].position


@pytest.mark.parametrize("start", [0, 1, 3, 4, 6])
@pytest.mark.parametrize("parts", [1, 2])
def test_going_on_from_a_step_gives_the_same_keys(start, parts):
    whole = _keys(parts=parts, length=27)
    rest = _keys(parts=parts, length=27, start_step=start)
    assert rest == whole[start * parts :]


@pytest.mark.parametrize(("batch_size", "repeats"), [(6, 3), (8, 2), (8, 4), (12, 3)])
def test_repeated_augmentation(batch_size, repeats):
    batches = _keys(batch_size=batch_size, repeats=repeats, total_steps=24 // batch_size)
    for batch in batches:
        indices = [key.index for key in batch]
        assert all(indices.count(index) == repeats for index in indices)
        assert all(a != b for a, b in itertools.pairwise(indices))
    # Each copy is augmented anew: its position, from which that is seeded, is its own.
    keys = [key for batch in batches for key in batch]
    assert len({key.position for key in keys}) == len(keys) == 24
    assert len({key.index for key in keys}) == 24 // repeats


def test_repeats_that_do_not_divide_the_batch():
    batches = _keys(batch_size=8, repeats=3, total_steps=3)
    assert all(a.index != b.index for batch in batches for a, b in itertools.pairwise(batch))
