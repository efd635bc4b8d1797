"""How sure are AUC, EER and accuracies of pairs? They are no means over queries: each draw computes them anew."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heads.metrics.bootstrap import resampled
from heads.metrics.intervals import DRAWS, Interval, drawn_interval
from heads.metrics.pairs import PairScores

QUANTILES = 128  # of the matches, and of the non-matches, between which similarities count as level
SAMPLE = 50_000  # similarities that quantiles are taken of

Shares = NDArray[np.float64]  # (draws, bins), rows sum to 1


def pair_intervals(
    pairs: list[PairScores], thresholds: list[float], *, clusters: ArrayLike, draws: int = DRAWS, seed: int = 0
) -> dict[str, Interval]:
    """The 95 % intervals of S seeds' scores on the same queries: `auc`, `eer`, `balanced_accuracy`, `accuracy`.

    Each draw takes whole clusters of queries with all their pairs, the gallery as it is; the draws are those of
    `mean_interval`. For AUC and EER a draw sees similarities in bins, which moves their spread by less than its third
    digit. Their means here are those over draws: the scores themselves are `Roc`'s and `Confusion`'s.

    Args:
        clusters: (N,) int, the cluster of every row.
    """
    clusters = np.asarray(clusters, np.int64)
    asked = np.zeros(clusters.max() + 1, bool)
    for rows in (pairs[0].match_rows, pairs[0].other_rows):
        asked[clusters[rows]] = True
    place = (np.cumsum(asked) - 1)[clusters]  # (N,) position among the clusters that ask
    total = int(asked.sum())
    of_seeds = [
        _drawn(one, threshold, place=place, total=total, draws=draws, seed=seed)
        for one, threshold in zip(pairs, thresholds, strict=True)
    ]
    return {name: drawn_interval(np.stack([drawn[name] for drawn in of_seeds]), clusters=total) for name in of_seeds[0]}


def _drawn(
    pairs: PairScores, threshold: float, *, place: NDArray[np.int64], total: int, draws: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """(draws,) values of each score; the few draws without matches or non-matches are left out."""
    edges = np.unique(np.concatenate([_quantiles(pairs.matches), _quantiles(pairs.others)]))
    sums = []
    for scores, rows in ((pairs.matches, pairs.match_rows), (pairs.others, pairs.other_rows)):
        bins = np.searchsorted(edges, scores, side="right")
        cell = place[rows] * (len(edges) + 1) + bins
        table = np.bincount(cell, minlength=total * (len(edges) + 1)).reshape(total, -1)
        accepted = np.bincount(place[rows], weights=scores >= threshold, minlength=total)
        sums.append(resampled(np.column_stack([table, accepted]).astype(np.float32), draws=draws, seed=seed))
    matches, others = (part.astype(np.float64) for part in sums)
    whole = (matches[:, :-1].sum(1) > 0) & (others[:, :-1].sum(1) > 0)
    matches, others = matches[whole], others[whole]
    counts = [part[:, :-1].sum(1) for part in (matches, others)]
    right = [matches[:, -1], counts[1] - others[:, -1]]
    shares = [part[:, :-1] / count[:, None] for part, count in zip((matches, others), counts, strict=True)]
    return {
        "auc": _auc(*shares),
        "eer": _eer(*shares),
        "balanced_accuracy": (right[0] / counts[0] + right[1] / counts[1]) / 2,
        "accuracy": (right[0] + right[1]) / (counts[0] + counts[1]),
    }


def _quantiles(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    sample = scores[:: max(1, len(scores) // SAMPLE)]
    return np.quantile(sample, np.linspace(0, 1, QUANTILES + 1)).astype(np.float32)


def _auc(matches: Shares, others: Shares) -> NDArray[np.float64]:
    below = np.cumsum(others, axis=1) - others
    return (matches * (below + others / 2)).sum(1)


def _eer(matches: Shares, others: Shares) -> NDArray[np.float64]:
    """As `Roc.eer`, for every draw: from the strictest edge to the most lenient."""
    nothing = np.zeros((len(matches), 1))
    accepts, alarms = (
        np.concatenate([nothing, np.cumsum(part[:, ::-1], axis=1)], axis=1) for part in (matches, others)
    )
    gap = 1 - accepts - alarms
    after = np.argmax(gap <= 1e-12, axis=1)[:, None]  # the last gap is -1
    gaps, ends = ([np.take_along_axis(part, at, axis=1)[:, 0] for at in (after - 1, after)] for part in (gap, alarms))
    return ends[0] + gaps[0] / (gaps[0] - gaps[1]) * (ends[1] - ends[0])
