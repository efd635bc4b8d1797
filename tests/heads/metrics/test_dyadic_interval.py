"""The interval of a mean over listed pairs, against a double loop and against pairs drawn anew."""

import numpy as np
import pytest
from scipy import stats

from heads.metrics.intervals import dyadic_interval, mean_interval


def slow_variance(values, ends):
    """Every two pairs that have a cluster in common, itself included."""
    off = values - values.mean()
    total = 0.0
    for i, one in enumerate(ends):
        for j, other in enumerate(ends):
            if set(one) & set(other):
                total += off[i] * off[j]
    size = len(np.unique(ends))
    return total / len(values) ** 2 * size / (size - 1)


def drawn(rng, *, rows=60, pairs=200):
    """Pairs that are dear where either of their rows is hard, as one misplaced image is in all its pairs."""
    hard = rng.exponential(size=rows)
    ends = np.stack([rng.integers(rows, size=pairs), rng.integers(rows, size=pairs)], axis=1)
    return hard[ends].sum(1) + rng.normal(size=pairs), ends


@pytest.mark.parametrize("clusters", [60, 7])  # few: pairs with both ends in one, and pairs that share both
def test_equals_the_double_loop(clusters):
    values, ends = drawn(np.random.default_rng(1))
    ends = ends % clusters + 1000  # the numbers themselves mean nothing
    got = dyadic_interval(values, ends=ends)
    assert got.mean == pytest.approx(values.mean())
    assert got.half_width == pytest.approx(stats.t.ppf(0.975, clusters - 1) * slow_variance(values, ends) ** 0.5)
    assert (got.half_width_queries, got.half_width_seeds) == (got.half_width, 0)


def test_holds_the_truth_where_pairs_taken_as_independent_do_not():
    found = [(*drawn(np.random.default_rng(seed)),) for seed in range(400)]
    sure = [dyadic_interval(values, ends=ends) for values, ends in found]
    naive = [mean_interval(values, n_bootstrap=100) for values, _ in found]
    held, held_naive = (np.mean([abs(one.mean - 2) <= one.half_width for one in several]) for several in (sure, naive))
    assert held > 0.9 > held_naive + 0.1


def test_pairs_that_share_nothing_are_independent():
    values = np.random.default_rng(0).normal(size=300)
    got = dyadic_interval(values, ends=np.arange(600).reshape(300, 2))
    assert got.half_width == pytest.approx(1.96 * values.std() / 300**0.5, rel=0.01)


def test_the_seeds_luck_is_added():
    values = np.random.default_rng(0).normal(size=300)
    ends = np.arange(600).reshape(300, 2)
    one, three = dyadic_interval(values, ends=ends), dyadic_interval(values + np.arange(3)[:, None], ends=ends)
    assert three.mean == pytest.approx(one.mean + 1)
    assert three.half_width_queries == pytest.approx(one.half_width) and three.half_width > 10 * one.half_width


def test_degenerate_inputs_have_no_width_and_no_nan():
    assert dyadic_interval([3.0], ends=[[0, 1]]).half_width == 0
    assert dyadic_interval([3.0, 3.0], ends=[[0, 0], [0, 0]]).half_width == 0
    assert dyadic_interval(np.ones((3, 5)), ends=np.arange(10).reshape(5, 2)).half_width == 0
