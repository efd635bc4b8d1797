"""Intervals of the scores of pairs against a slow bootstrap that repeats the pairs themselves."""

import numpy as np
import pytest
from scipy import stats

from heads.metrics.bootstrap import resampled
from heads.metrics.intervals import mean_interval
from heads.metrics.pair_intervals import pair_intervals
from heads.metrics.pairs import PairScores
from heads.metrics.verification import decide, roc

NAMES = ("auc", "eer", "balanced_accuracy", "accuracy")


def made_up(*, queries=60, others=12, seed=0, luck=0.0):
    """One match and `others` non-matches a query; hard queries are hard for both kinds."""
    rng = np.random.default_rng(7)
    hard = rng.normal(scale=0.5, size=queries)
    own = np.random.default_rng(seed).normal(scale=luck, size=(queries, 1 + others)) + rng.normal(size=(queries, 1))
    matches = (1.5 - hard + own[:, 0]).astype(np.float32)
    rest = (hard[:, None] + own[:, 1:] + rng.normal(scale=0.7, size=(queries, others))).astype(np.float32)
    rows = np.arange(queries) + 100
    return PairScores(matches, rest.ravel(), rows, np.repeat(rows, others))


def exact(pairs, threshold):
    curve, decisions = roc(pairs.matches, pairs.others), decide(pairs.matches, pairs.others, threshold=threshold)
    return [curve.auc, curve.eer, decisions.balanced_accuracy, decisions.accuracy]


def repeated(pairs, weights):
    return PairScores(
        np.repeat(pairs.matches, weights[pairs.match_rows]),
        np.repeat(pairs.others, weights[pairs.other_rows]),
        np.repeat(pairs.match_rows, weights[pairs.match_rows]),
        np.repeat(pairs.other_rows, weights[pairs.other_rows]),
    )


@pytest.mark.parametrize("per_cluster", [1, 4])
def test_equals_the_slow_bootstrap(per_cluster):
    pairs, threshold, draws = made_up(), 0.6, 400
    clusters = np.arange(160) // per_cluster
    asked = np.unique(clusters[pairs.match_rows])
    times = resampled(np.eye(len(asked)), draws=draws).astype(int)  # (draws, G)
    values = []
    for taken in times:
        by_cluster = np.zeros(clusters.max() + 1, int)
        by_cluster[asked] = taken
        values.append(exact(repeated(pairs, by_cluster[clusters]), threshold))
    spread = np.std(values, axis=0, ddof=1) * np.sqrt(len(asked) / (len(asked) - 1))
    got = pair_intervals([pairs], [threshold], clusters=clusters, draws=draws)
    assert tuple(got) == NAMES
    for name, expected, tolerance in zip(NAMES, spread, (0.01, 0.05, 1e-6, 1e-6), strict=True):
        half = got[name].half / stats.t.ppf(0.975, len(asked) - 1)
        assert half == pytest.approx(expected, rel=tolerance), name
        assert got[name].seeds == 0


def test_a_mean_over_queries_gets_the_interval_of_a_mean():
    """Balanced accuracy of equally many pairs a query is a mean, so both ways must agree; seeds included."""
    several = [made_up(seed=seed, luck=0.4) for seed in range(3)]
    got = pair_intervals(several, [0.6] * 3, clusters=np.arange(160), draws=4000)["balanced_accuracy"]
    by_query = [(p.matches >= 0.6) / 2 + (p.others.reshape(60, -1) < 0.6).mean(1) / 2 for p in several]
    expected = mean_interval(np.stack(by_query), draws=4000)
    assert got.mean == pytest.approx(expected.mean, abs=2e-3)
    assert got.half == pytest.approx(expected.half, rel=0.03)
    assert got.queries == pytest.approx(expected.queries, rel=1e-6)
    assert got.seeds == pytest.approx(expected.seeds, rel=0.1)


def test_seeds_that_differ_widen_it():
    one, other = made_up(), made_up()
    worse = PairScores(other.matches - 4, other.others, other.match_rows, other.other_rows)
    alike = pair_intervals([one, other], [0.6] * 2, clusters=np.arange(160))
    apart = pair_intervals([one, worse], [0.6] * 2, clusters=np.arange(160))
    for name in NAMES:
        assert apart[name].half > 1.5 * alike[name].half
        assert apart[name].seeds > 0 == alike[name].seeds


def test_one_cluster_and_level_similarities_have_no_width():
    pairs = made_up()
    assert {one.half for one in pair_intervals([pairs], [0.6], clusters=np.zeros(160)).values()} == {0}
    level = PairScores(np.ones(60, np.float32), np.ones(720, np.float32), pairs.match_rows, pairs.other_rows)
    got = pair_intervals([level, level], [1.0, 1.0], clusters=np.arange(160))
    assert [(round(got[name].mean, 9), got[name].half) for name in NAMES[:3]] == [(0.5, 0)] * 3


def test_draws_without_matches_are_left_out():
    pairs = made_up(queries=3)
    few = PairScores(pairs.matches[:1], pairs.others, pairs.match_rows[:1], pairs.other_rows)
    got = pair_intervals([few], [0.6], clusters=np.arange(160))
    assert all(np.isfinite([one.mean, one.half]).all() for one in got.values())


def test_separable_pairs_have_no_error():
    pairs = made_up()
    easy = PairScores(pairs.matches + 100, pairs.others, pairs.match_rows, pairs.other_rows)
    got = pair_intervals([easy], [50.0], clusters=np.arange(160))
    assert [got[name].mean for name in NAMES] == pytest.approx([1, 0, 1, 1])
    assert [got[name].half for name in NAMES] == pytest.approx([0] * 4)
