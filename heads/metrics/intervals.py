"""95 % intervals of means over queries and seeds: variance components over both, and their sum."""

from dataclasses import dataclass
from functools import cache
from math import exp, lgamma, pi, sqrt

import numpy as np
from numpy.typing import ArrayLike

from heads.metrics.bootstrap import resample_sums

N_BOOTSTRAP = 1000


@dataclass(frozen=True)
class Interval:
    """A mean and the half widths of its 95 % interval."""

    mean: float
    half_width: float  # over queries and seeds
    half_width_queries: float  # over queries alone
    half_width_seeds: float  # over seeds alone; 0 with one seed, whose variance cannot be estimated

    @property
    def low(self) -> float:
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        return self.mean + self.half_width


@dataclass(frozen=True)
class _VarianceComponent:
    """Variance of a mean, and the degrees of freedom of its estimate."""

    variance: float
    dof: int


def mean_interval(
    values: ArrayLike, *, clusters: ArrayLike | None = None, n_bootstrap: int = N_BOOTSTRAP, seed: int = 0
) -> Interval:
    """The mean of `values` (S, Q) or (Q,) over S seeds and Q queries, and its 95 % interval.

    Queries and seeds are crossed random effects. The variance of the mean is that over queries (a bootstrap of whole
    clusters, of the mean over seeds) plus that over seeds, minus their interaction, which both contain. The half width
    is Student's t at the Satterthwaite degrees of freedom.

    Args:
        clusters: (Q,) int; queries of one cluster are drawn together, because they are not independent.
    """
    values = np.atleast_2d(np.asarray(values, np.float64))
    sums, counts = _by_cluster(values, clusters)
    over_queries = _over_queries(sums.mean(0), counts, n_bootstrap=n_bootstrap, seed=seed)
    return _combine(float(values.mean()), over_queries, [(_over_seeds(values.mean(1)), _interaction(values, clusters))])


def paired_interval(
    first: ArrayLike,
    second: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    n_bootstrap: int = N_BOOTSTRAP,
    seed: int = 0,
) -> Interval:
    """The mean of `first` minus that of `second`, (S1, Q) and (S2, Q) on the same queries, and its 95 % interval.

    The variance that both share over queries cancels; each side's seeds are its own. Slightly wide (97 %) where seeds
    make no difference at all.
    """
    first, second = (np.atleast_2d(np.asarray(values, np.float64)) for values in (first, second))
    difference = (first.mean(0) - second.mean(0))[None]
    sums, counts = _by_cluster(difference, clusters)
    over_queries = _over_queries(sums[0], counts, n_bootstrap=n_bootstrap, seed=seed)
    sides = [(_over_seeds(side.mean(1)), _interaction(side, clusters)) for side in (first, second)]
    return _combine(float(difference.mean()), over_queries, sides)


def dyadic_interval(values: ArrayLike, *, ends: ArrayLike) -> Interval:
    """The mean of `values` (S, P) over S seeds and P listed pairs, and its 95 % interval.

    Two pairs depend on each other where they share a cluster at either end: the variance is the sum of the products of
    all such pairs' residuals (Aronow, Samii and Assenova 2015, eq. 3.2), plus that over seeds.

    Args:
        ends: (P, 2) int, the clusters of both rows of each pair.
    """
    values, ends = np.atleast_2d(np.asarray(values, np.float64)), np.asarray(ends, np.int64)
    number = np.unique(ends, return_inverse=True)[1].reshape(ends.shape)
    residuals, size = values.mean(0) - values.mean(), int(number.max()) + 1
    different = number[:, 0] != number[:, 1]  # else one cluster is at both ends, and the pair is in its sum once
    per_cluster = np.bincount(number[:, 0], residuals, size) + np.bincount(
        number[different, 1], residuals[different], size
    )
    both_ends = np.unique(np.sort(number[different], axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    # Pairs that share both ends are in two sums.
    twice = np.bincount(both_ends, residuals[different]) if len(both_ends) else np.zeros(1)
    variance = max(0.0, float((per_cluster**2).sum() - (twice**2).sum())) / values.shape[1] ** 2
    over_pairs = _VarianceComponent(variance * _small_sample_correction(size), max(size - 1, 1))
    return _combine(float(values.mean()), over_pairs, [(_over_seeds(values.mean(1)), 0.0)])


def bootstrap_interval(samples: ArrayLike, *, clusters: int) -> Interval:
    """As `mean_interval`, of a score that is not a mean over queries.

    Args:
        samples: (S, B) the score of S seeds in B bootstrap samples, which all seeds share.
        clusters: how many clusters each sample was drawn from.
    """
    samples = np.asarray(samples, np.float64)
    seeds, n_bootstrap = samples.shape
    if clusters < 2 or n_bootstrap < 2:
        return Interval(float(samples.mean()), 0.0, 0.0, 0.0)
    correction = _small_sample_correction(clusters)
    over_queries = _VarianceComponent(float(samples.mean(0).var(ddof=1)) * correction, clusters - 1)
    own = float((samples - samples.mean(0)).var(axis=1, ddof=1).sum())
    interaction = own / (seeds * (seeds - 1)) * correction if seeds > 1 else 0.0
    return _combine(float(samples.mean()), over_queries, [(_over_seeds(samples.mean(1)), interaction)])


def _combine(mean: float, queries: _VarianceComponent, sides: list[tuple[_VarianceComponent, float]]) -> Interval:
    """`sides`: per run, the component over seeds and the variance of the interaction of seeds and queries."""
    # Both components contain the interaction. A component over seeds below it is noise of the estimate.
    beyond = [_VarianceComponent(max(0.0, seeds.variance - interaction), seeds.dof) for seeds, interaction in sides]
    seeds = [component for component, _ in sides]
    return Interval(mean, _half_width([queries, *beyond]), _half_width([queries]), _half_width(seeds))


def _half_width(components: list[_VarianceComponent]) -> float:
    """Of the 95 % interval of a sum of independent components (Satterthwaite, 1946)."""
    components = [component for component in components if component.variance > 0]
    if not components:
        return 0.0
    variance = sum(component.variance for component in components)
    dof = variance**2 / sum(component.variance**2 / component.dof for component in components)
    return student_quantile(dof) * variance**0.5


def student_quantile(dof: float) -> float:
    """97.5 % point of Student's t with `dof` >= 1 degrees of freedom; importing scipy.special takes longer.

    Newton's method on the area below the density, from the normal distribution's point: the density falls, so each step
    stays below the solution.
    """
    nodes, weights = _gauss_legendre()
    scale = exp(lgamma((dof + 1) / 2) - lgamma(dof / 2)) / sqrt(dof * pi)
    t, step = 1.95, 1.0
    while step > 1e-9 * t:
        x = np.append(t / 2 * (nodes + 1), t)
        density = scale * (1 + x * x / dof) ** (-(dof + 1) / 2)
        step = (0.475 - t / 2 * float(weights @ density[:-1])) / float(density[-1])
        t += step
    return t


@cache
def _gauss_legendre() -> tuple[np.ndarray, np.ndarray]:
    """(64,) nodes in -1..1 and weights of a quadrature."""
    return np.polynomial.legendre.leggauss(64)


def _by_cluster(values: np.ndarray, clusters: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """(S, G) sums and (G,) counts of queries."""
    if clusters is None:
        return values, np.ones(values.shape[1])
    index = np.unique(np.asarray(clusters), return_inverse=True)[1]
    return np.stack([np.bincount(index, weights=row) for row in values]), np.bincount(index).astype(np.float64)


def _small_sample_correction(clusters: int) -> float:
    """G / (G - 1): a bootstrap variance of G clusters is too small by that factor."""
    return clusters / max(clusters - 1, 1)


def _over_queries(sums: np.ndarray, counts: np.ndarray, *, n_bootstrap: int, seed: int) -> _VarianceComponent:
    """Of sum / count, (G,) each, when clusters are drawn with replacement."""
    clusters = len(sums)
    if clusters < 2:
        return _VarianceComponent(0.0, 1)
    samples = resample_sums(np.stack([sums, counts], axis=1), n_bootstrap=n_bootstrap, seed=seed)
    variance = float((samples[:, 0] / samples[:, 1]).var(ddof=1))
    return _VarianceComponent(variance * _small_sample_correction(clusters), clusters - 1)


def _over_seeds(means: np.ndarray) -> _VarianceComponent:
    """`means` (S,): the score of each seed."""
    seeds = len(means)
    return _VarianceComponent(float(means.var(ddof=1) / seeds), seeds - 1) if seeds > 1 else _VarianceComponent(0.0, 1)


def _interaction(values: np.ndarray, clusters: ArrayLike | None) -> float:
    """Variance of the mean of `values` (S, Q) that comes from the interaction of seeds and queries."""
    sums, counts = _by_cluster(values, clusters)
    seeds, size = sums.shape
    if seeds < 2 or size < 2:
        return 0.0
    residuals = (sums - values.mean(1)[:, None] * counts) / counts.sum()  # (S, G), each seed's sums to 0
    residuals -= residuals.mean(0)
    return float((residuals**2).sum() / (seeds - 1) / seeds * _small_sample_correction(size))
