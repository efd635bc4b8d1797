"""95 % intervals of AUC, EER and accuracies of pairs. They are not means over queries: each bootstrap sample computes
them anew.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heads.metrics.bootstrap import resample_sums
from heads.metrics.intervals import N_BOOTSTRAP, Interval, bootstrap_interval
from heads.metrics.pairs import PairScores

QUANTILES = 128  # of the positives, and of the negatives: similarities between two of them count as ties
SAMPLE = 50_000  # similarities that quantiles are estimated from

Shares = NDArray[np.float64]  # (B, bins), rows sum to 1


def pair_intervals(
    pairs: list[PairScores],
    thresholds: list[float],
    *,
    clusters: ArrayLike,
    n_bootstrap: int = N_BOOTSTRAP,
    seed: int = 0,
) -> dict[str, Interval]:
    """The 95 % intervals of S seeds' scores on the same queries: `auc`, `eer`, `balanced_accuracy`, `accuracy`.

    A bootstrap sample holds whole clusters of queries with all their pairs and the whole gallery; the samples are those
    of `mean_interval`. AUC and EER are computed on binned similarities, which changes their half widths by less than
    the third digit. The means are those over samples: the scores themselves are `Roc`'s and `Confusion`'s.

    Args:
        clusters: (N,) int, the cluster of every row.
    """
    clusters = np.asarray(clusters, np.int64)
    queried = np.zeros(clusters.max() + 1, bool)
    for rows in (pairs[0].positive_queries, pairs[0].negative_queries):
        queried[clusters[rows]] = True
    place = (np.cumsum(queried) - 1)[clusters]  # (N,) position among the clusters of queries
    total = int(queried.sum())
    per_seed = [
        _resampled_scores(one, threshold, place=place, total=total, n_bootstrap=n_bootstrap, seed=seed)
        for one, threshold in zip(pairs, thresholds, strict=True)
    ]
    return {
        name: bootstrap_interval(np.stack([scores[name] for scores in per_seed]), clusters=total)
        for name in per_seed[0]
    }


def _resampled_scores(
    pairs: PairScores, threshold: float, *, place: NDArray[np.int64], total: int, n_bootstrap: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """(B,) values of each score; the few samples without positives or without negatives are left out."""
    edges = np.unique(np.concatenate([_quantiles(pairs.positives), _quantiles(pairs.negatives)]))
    sums = []
    for scores, rows in ((pairs.positives, pairs.positive_queries), (pairs.negatives, pairs.negative_queries)):
        bins = np.searchsorted(edges, scores, side="right")
        cell = place[rows] * (len(edges) + 1) + bins
        table = np.bincount(cell, minlength=total * (len(edges) + 1)).reshape(total, -1)
        accepted = np.bincount(place[rows], weights=scores >= threshold, minlength=total)
        table = np.column_stack([table, accepted]).astype(np.float32)
        sums.append(resample_sums(table, n_bootstrap=n_bootstrap, seed=seed).astype(np.float64))
    usable = np.logical_and(*(part[:, :-1].sum(1) > 0 for part in sums))
    positives, negatives = (part[usable] for part in sums)
    counts = [part[:, :-1].sum(1) for part in (positives, negatives)]
    correct = [positives[:, -1], counts[1] - negatives[:, -1]]
    shares = [part[:, :-1] / count[:, None] for part, count in zip((positives, negatives), counts, strict=True)]
    return {
        "auc": _auc(*shares),
        "eer": _eer(*shares),
        "balanced_accuracy": (correct[0] / counts[0] + correct[1] / counts[1]) / 2,
        "accuracy": (correct[0] + correct[1]) / (counts[0] + counts[1]),
    }


def _quantiles(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    sample = scores[:: max(1, len(scores) // SAMPLE)]
    return np.quantile(sample, np.linspace(0, 1, QUANTILES + 1)).astype(np.float32)


def _auc(positives: Shares, negatives: Shares) -> NDArray[np.float64]:
    below = np.cumsum(negatives, axis=1) - negatives
    return (positives * (below + negatives / 2)).sum(1)


def _eer(positives: Shares, negatives: Shares) -> NDArray[np.float64]:
    """As `Roc.eer`, for every bootstrap sample: from the strictest edge to the most lenient."""
    nothing = np.zeros((len(positives), 1))
    true_accepts, false_accepts = (
        np.concatenate([nothing, np.cumsum(part[:, ::-1], axis=1)], axis=1) for part in (positives, negatives)
    )
    gap = 1 - true_accepts - false_accepts
    after = np.argmax(gap <= 1e-12, axis=1)[:, None]  # the last gap is -1
    gaps, ends = (
        [np.take_along_axis(part, at, axis=1)[:, 0] for at in (after - 1, after)] for part in (gap, false_accepts)
    )
    return ends[0] + gaps[0] / (gaps[0] - gaps[1]) * (ends[1] - ends[0])
