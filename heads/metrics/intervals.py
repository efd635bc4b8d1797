"""How sure is a mean over queries and seeds? Two sources of luck, kept apart and put together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from heads.metrics.bootstrap import resampled

DRAWS = 1000


@dataclass(frozen=True)
class Interval:
    """A mean and the half widths of its 95 % interval."""

    mean: float
    half: float  # from both sources
    queries: float  # had the queries alone been drawn anew
    seeds: float  # had the seeds alone been drawn anew; 0 with one seed, of which nothing can be known

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half


@dataclass(frozen=True)
class _Spread:
    """Variance of a mean, and how many independent things it was estimated from, less one."""

    variance: float
    freedom: int


def mean_interval(
    values: ArrayLike, *, clusters: ArrayLike | None = None, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """The mean of `values` (S, Q) or (Q,) over S seeds and Q queries, and its 95 % interval.

    Queries and seeds are crossed random effects. The variance of the mean is that over queries (a bootstrap of whole
    clusters, of the mean over seeds) plus that over seeds, less their interaction, which both hold. The half width is
    Student's t at the Satterthwaite degrees of freedom: with three seeds, three numbers are honestly few.

    Args:
        clusters: (Q,) int, queries of one cluster are drawn together (images of one group are not independent).
    """
    values = np.atleast_2d(np.asarray(values, np.float64))
    sums, counts = _by_cluster(values, clusters)
    over_queries = _Spread(_bootstrap_variance(sums.mean(0), counts, draws=draws, seed=seed), max(len(counts) - 1, 1))
    return _combine(
        float(values.mean()), over_queries, [(_seed_spread(values.mean(1)), _interaction(values, clusters))]
    )


def paired_interval(
    first: ArrayLike, second: ArrayLike, *, clusters: ArrayLike | None = None, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """The mean of `first` minus that of `second`, (S1, Q) and (S2, Q) on the same queries, and its 95 % interval.

    The queries' luck is shared and cancels; each side's seeds are its own. A little wide (97 %) when seeds make no
    difference at all.
    """
    first, second = (np.atleast_2d(np.asarray(values, np.float64)) for values in (first, second))
    gap = (first.mean(0) - second.mean(0))[None]
    sums, counts = _by_cluster(gap, clusters)
    over_queries = _Spread(_bootstrap_variance(sums[0], counts, draws=draws, seed=seed), max(len(counts) - 1, 1))
    sides = [(_seed_spread(side.mean(1)), _interaction(side, clusters)) for side in (first, second)]
    return _combine(float(gap.mean()), over_queries, sides)


def dyadic_interval(values: ArrayLike, *, ends: ArrayLike) -> Interval:
    """The mean of `values` (S, P) over S seeds and P listed pairs, and its 95 % interval.

    Two pairs depend on each other where they share a cluster at either end: the variance is the sum of the products of
    all such pairs' residuals (Aronow, Samii and Assenova 2015, eq. 3.2), and the seeds' on top.

    Args:
        ends: (P, 2) int, the clusters of both sides of each pair.
    """
    values, ends = np.atleast_2d(np.asarray(values, np.float64)), np.asarray(ends, np.int64)
    number = np.unique(ends, return_inverse=True)[1].reshape(ends.shape)
    off, size = values.mean(0) - values.mean(), int(number.max()) + 1
    apart = number[:, 0] != number[:, 1]  # else one cluster is at both ends, and the pair is in its sum once
    one = np.bincount(number[:, 0], off, size) + np.bincount(number[apart, 1], off[apart], size)
    both = np.unique(np.sort(number[apart], axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    twice = np.bincount(both, off[apart]) if len(both) else np.zeros(1)  # pairs that share both ends are in two sums
    few = size / max(size - 1, 1)
    variance = max(0.0, float((one**2).sum() - (twice**2).sum())) / values.shape[1] ** 2 * few
    over_pairs = _Spread(variance, max(size - 1, 1))
    return _combine(float(values.mean()), over_pairs, [(_seed_spread(values.mean(1)), 0.0)])


def drawn_interval(drawn: ArrayLike, *, clusters: int) -> Interval:
    """As `mean_interval`, of a score that is no mean over queries: `drawn` (S, B) are its values in B bootstrap draws.

    All S seeds share the draws, each of so many `clusters`.
    """
    drawn = np.asarray(drawn, np.float64)
    seeds, draws = drawn.shape
    if clusters < 2 or draws < 2:
        return Interval(float(drawn.mean()), 0.0, 0.0, 0.0)
    few = clusters / (clusters - 1)  # as in _bootstrap_variance
    over_queries = _Spread(float(drawn.mean(0).var(ddof=1)) * few, clusters - 1)
    own = (drawn - drawn.mean(0)).var(axis=1, ddof=1).sum()
    together = float(own) / (seeds * (seeds - 1)) * few if seeds > 1 else 0.0
    return _combine(float(drawn.mean()), over_queries, [(_seed_spread(drawn.mean(1)), together)])


def _combine(mean: float, queries: _Spread, sides: list[tuple[_Spread, float]]) -> Interval:
    """`sides`: the spread over seeds, and the variance that comes from seeds and queries together."""
    # What seeds and queries do together is in both spreads; a spread over seeds below it is noise in its estimate.
    beyond = [_Spread(max(0.0, spread.variance - together), spread.freedom) for spread, together in sides]
    seeds = [spread for spread, _ in sides]
    return Interval(mean, _half_width([queries, *beyond]), _half_width([queries]), _half_width(seeds))


def _half_width(spreads: list[_Spread]) -> float:
    """Of the 95 % interval of a sum of independent parts (Satterthwaite, 1946)."""
    spreads = [spread for spread in spreads if spread.variance > 0]
    if not spreads:
        return 0.0
    variance = sum(spread.variance for spread in spreads)
    freedom = variance**2 / sum(spread.variance**2 / spread.freedom for spread in spreads)
    return float(stdtrit(freedom, 0.975) * variance**0.5)


def _by_cluster(values: np.ndarray, clusters: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """(S, G) sums and (G,) counts of queries."""
    if clusters is None:
        return values, np.ones(values.shape[1])
    index = np.unique(np.asarray(clusters), return_inverse=True)[1]
    return np.stack([np.bincount(index, weights=row) for row in values]), np.bincount(index).astype(np.float64)


def _bootstrap_variance(sums: np.ndarray, counts: np.ndarray, *, draws: int, seed: int) -> float:
    """Variance of sum / count when clusters are drawn with replacement, times G / (G - 1): it is too small by that."""
    size = len(sums)
    if size < 2:
        return 0.0
    drawn = resampled(np.stack([sums, counts], axis=1), draws=draws, seed=seed)
    return float((drawn[:, 0] / drawn[:, 1]).var(ddof=1) * size / (size - 1))


def _seed_spread(means: np.ndarray) -> _Spread:
    """`means` (S,): the score of each seed."""
    seeds = len(means)
    return _Spread(float(means.var(ddof=1) / seeds), seeds - 1) if seeds > 1 else _Spread(0.0, 1)


def _interaction(values: np.ndarray, clusters: ArrayLike | None) -> float:
    """Variance of the mean that comes from seeds and queries together: luck of this seed on these queries."""
    sums, counts = _by_cluster(values, clusters)
    seeds, size = sums.shape
    if seeds < 2 or size < 2:
        return 0.0
    off = (sums - values.mean(1)[:, None] * counts) / counts.sum()  # (S, G), each seed's sums to 0
    off -= off.mean(0)
    return float((off**2).sum() / (seeds - 1) / seeds * size / (size - 1))
