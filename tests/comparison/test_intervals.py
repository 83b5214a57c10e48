"""Confidence intervals contain the truth as often as they say."""

import numpy as np
import pytest

from atmnet.comparison.intervals import mean_interval, paired_interval

DRAWS = 1000


@pytest.mark.parametrize("seeds", [3, 5])
def test_an_interval_contains_the_mean_in_95_of_100_draws(seeds):
    scores = np.random.default_rng(0).normal(80, 1.5, (DRAWS, seeds))
    intervals = [mean_interval(draw.tolist()) for draw in scores]
    covered = sum(abs(interval.mean - 80) <= interval.half_width for interval in intervals)
    assert 0.93 <= covered / DRAWS <= 0.97


def test_pairs_are_narrower_where_seeds_act_alike():
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 1.5, (DRAWS, 4))
    first = 80 + shared + rng.normal(0, 0.4, (DRAWS, 4))
    second = 81 + shared + rng.normal(0, 0.4, (DRAWS, 4))
    paired = [paired_interval(b.tolist(), a.tolist()) for a, b in zip(first, second, strict=True)]
    covered = sum(abs(interval.mean - 1) <= interval.half_width for interval in paired)
    assert 0.93 <= covered / DRAWS <= 0.97
    alone = [mean_interval(b.tolist()).half_width for b in second]
    assert np.mean([interval.half_width for interval in paired]) < 0.6 * np.mean(alone)


def test_one_value_has_no_interval():
    interval = mean_interval([3.0])
    assert interval == (3.0, None)
    assert not interval.excludes_zero


def test_zero_is_outside_only_of_an_interval_that_is_short_enough():
    assert mean_interval([1.0, 1.1, 0.9]).excludes_zero
    assert not mean_interval([1.0, -1.0, 0.5]).excludes_zero
