"""Intervals of the scores of pairs against a slow bootstrap that repeats the pairs themselves."""

import numpy as np
import pytest
from scipy import stats

from heads.metrics.bootstrap import resample_sums
from heads.metrics.intervals import mean_interval
from heads.metrics.pair_intervals import pair_intervals
from heads.metrics.pairs import PairScores
from heads.metrics.verification import confusion_at, roc

NAMES = ("auc", "eer", "balanced_accuracy", "accuracy")


def made_up(*, queries=60, negatives=12, seed=0, luck=0.0):
    """One match and `negatives` non-positives a query; hard queries are hard for both kinds."""
    rng = np.random.default_rng(7)
    hard = rng.normal(scale=0.5, size=queries)
    own = np.random.default_rng(seed).normal(scale=luck, size=(queries, 1 + negatives)) + rng.normal(size=(queries, 1))
    positives = (1.5 - hard + own[:, 0]).astype(np.float32)
    rest = (hard[:, None] + own[:, 1:] + rng.normal(scale=0.7, size=(queries, negatives))).astype(np.float32)
    rows = np.arange(queries) + 100
    return PairScores(positives, rest.ravel(), rows, np.repeat(rows, negatives))


def exact(pairs, threshold):
    curve, decisions = (
        roc(pairs.positives, pairs.negatives),
        confusion_at(pairs.positives, pairs.negatives, threshold=threshold),
    )
    return [curve.auc, curve.eer, decisions.balanced_accuracy, decisions.accuracy]


def repeated(pairs, weights):
    return PairScores(
        np.repeat(pairs.positives, weights[pairs.positive_queries]),
        np.repeat(pairs.negatives, weights[pairs.negative_queries]),
        np.repeat(pairs.positive_queries, weights[pairs.positive_queries]),
        np.repeat(pairs.negative_queries, weights[pairs.negative_queries]),
    )


@pytest.mark.parametrize("per_cluster", [1, 4])
def test_equals_the_slow_bootstrap(per_cluster):
    pairs, threshold, n_bootstrap = made_up(), 0.6, 400
    clusters = np.arange(160) // per_cluster
    queried = np.unique(clusters[pairs.positive_queries])
    multiplicities = resample_sums(np.eye(len(queried)), n_bootstrap=n_bootstrap).astype(int)  # (n_bootstrap, G)
    values = []
    for drawn in multiplicities:
        by_cluster = np.zeros(clusters.max() + 1, int)
        by_cluster[queried] = drawn
        values.append(exact(repeated(pairs, by_cluster[clusters]), threshold))
    deviation = np.std(values, axis=0, ddof=1) * np.sqrt(len(queried) / (len(queried) - 1))
    got = pair_intervals([pairs], [threshold], clusters=clusters, n_bootstrap=n_bootstrap)
    assert tuple(got) == NAMES
    for name, expected, tolerance in zip(NAMES, deviation, (0.01, 0.05, 1e-6, 1e-6), strict=True):
        half_width = got[name].half_width / stats.t.ppf(0.975, len(queried) - 1)
        assert half_width == pytest.approx(expected, rel=tolerance), name
        assert got[name].half_width_seeds == 0


def test_a_mean_over_queries_gets_the_interval_of_a_mean():
    """Balanced accuracy of equally many pairs a query is a mean, so both ways must agree; seeds included."""
    several = [made_up(seed=seed, luck=0.4) for seed in range(3)]
    got = pair_intervals(several, [0.6] * 3, clusters=np.arange(160), n_bootstrap=4000)["balanced_accuracy"]
    by_query = [(p.positives >= 0.6) / 2 + (p.negatives.reshape(60, -1) < 0.6).mean(1) / 2 for p in several]
    expected = mean_interval(np.stack(by_query), n_bootstrap=4000)
    assert got.mean == pytest.approx(expected.mean, abs=2e-3)
    assert got.half_width == pytest.approx(expected.half_width, rel=0.03)
    assert got.half_width_queries == pytest.approx(expected.half_width_queries, rel=1e-6)
    assert got.half_width_seeds == pytest.approx(expected.half_width_seeds, rel=0.1)


def test_seeds_that_differ_widen_it():
    one, other = made_up(), made_up()
    worse = PairScores(other.positives - 4, other.negatives, other.positive_queries, other.negative_queries)
    same = pair_intervals([one, other], [0.6] * 2, clusters=np.arange(160))
    different = pair_intervals([one, worse], [0.6] * 2, clusters=np.arange(160))
    for name in NAMES:
        assert different[name].half_width > 1.5 * same[name].half_width
        assert different[name].half_width_seeds > 0 == same[name].half_width_seeds


def test_one_cluster_and_level_similarities_have_no_width():
    pairs = made_up()
    assert {one.half_width for one in pair_intervals([pairs], [0.6], clusters=np.zeros(160)).values()} == {0}
    level = PairScores(
        np.ones(60, np.float32), np.ones(720, np.float32), pairs.positive_queries, pairs.negative_queries
    )
    got = pair_intervals([level, level], [1.0, 1.0], clusters=np.arange(160))
    assert [(round(got[name].mean, 9), got[name].half_width) for name in NAMES[:3]] == [(0.5, 0)] * 3


def test_samples_without_positives_are_left_out():
    pairs = made_up(queries=3)
    few = PairScores(pairs.positives[:1], pairs.negatives, pairs.positive_queries[:1], pairs.negative_queries)
    got = pair_intervals([few], [0.6], clusters=np.arange(160))
    assert all(np.isfinite([one.mean, one.half_width]).all() for one in got.values())


def test_separable_pairs_have_no_error():
    pairs = made_up()
    easy = PairScores(pairs.positives + 100, pairs.negatives, pairs.positive_queries, pairs.negative_queries)
    got = pair_intervals([easy], [50.0], clusters=np.arange(160))
    assert [got[name].mean for name in NAMES] == pytest.approx([1, 0, 1, 1])
    assert [got[name].half_width for name in NAMES] == pytest.approx([0] * 4)
