"""Recall@k, reciprocal rank, average precision and MAP@R over the whole gallery, ties by expectation.

With ties the order is random within a level; every score here is the exact mean over those orders (McSherry and
Najork, "Computing information retrieval performance measures efficiently in the presence of tied scores", 2008).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from heads.errors import HeadError
from heads.scores.ranking import Ranks


@dataclass(frozen=True)
class Retrieval:
    """(Q,) each: the scores of every query against the whole gallery."""

    recall: dict[int, np.ndarray]  # k -> chance that a match is among the best k
    reciprocal_rank: np.ndarray  # of the best match
    average_precision: np.ndarray
    map_at_r: np.ndarray  # Musgrave et al., "A Metric Learning Reality Check", 2020, eq. 4
    r_precision: np.ndarray


@dataclass(frozen=True)
class _Level:
    """Gallery rows of one query that are level with each other, of which at least one is a match."""

    above: int  # rows above this level
    matches_above: int
    matches: int
    rows: int


def retrieval(ranks: Ranks, *, ks: tuple[int, ...] = (1, 5, 20)) -> Retrieval:
    """Score every query of `ranks`.

    Raises:
        HeadError: k is larger than the gallery.
    """
    smallest = int((ranks.negatives + ranks.positives).min())
    if ks and not 1 <= min(ks) <= max(ks) <= smallest:
        wrong = max(ks) if max(ks) > smallest else min(ks)
        raise HeadError(f"recall at {wrong} cannot be asked for: the gallery has {smallest} rows")
    count, query = ranks.positives, ranks.query
    # Entries are ordered best first: the i-th match of a query has i matches above it.
    before = np.arange(len(query)) - np.repeat(np.cumsum(count) - count, count)
    rank = ranks.higher + before + 1
    precision = (before + 1) / rank
    within_r = rank <= count[query]
    first = before == 0
    result = Retrieval(
        recall={k: (rank[first] <= k).astype(float) for k in ks},
        reciprocal_rank=1 / rank[first],
        average_precision=ranks.mean_per_query(precision),
        map_at_r=ranks.mean_per_query(precision * within_r),
        r_precision=ranks.mean_per_query(within_r.astype(float)),
    )
    for q in np.unique(query[ranks.ties > 0]):
        _score_with_ties(result, ranks, int(q))
    return result


def _score_with_ties(result: Retrieval, ranks: Ranks, q: int) -> None:
    """Overwrite the scores of query `q` with their means over all orders within its levels."""
    entries = slice(*np.searchsorted(ranks.query, [q, q + 1]))
    levels = list(_levels(ranks.higher[entries], ranks.ties[entries]))
    r = entries.stop - entries.start
    precision, precision_at_r, matches_at_r = 0.0, 0.0, 0.0
    for level in levels:
        place = level.above + np.arange(1, level.rows + 1)
        share = level.matches / level.rows  # chance that any one place holds a match
        others = (level.matches - 1) / max(level.rows - 1, 1)  # ... and that another does, given that one does
        found = level.matches_above + 1 + np.arange(level.rows) * others
        at_place = share * found / place
        precision += at_place.sum()
        precision_at_r += at_place[place <= r].sum()
        matches_at_r += share * (place <= r).sum()
    result.average_precision[q] = precision / r
    result.map_at_r[q] = precision_at_r / r
    result.r_precision[q] = matches_at_r / r

    best = levels[0]
    # All matches are among the last rows - j places of the level: C(rows - j, matches) / C(rows, matches).
    j = np.arange(best.rows + 1)
    none_in = np.exp(_log_choose(best.rows - j, best.matches) - _log_choose(np.array(best.rows), best.matches))
    result.reciprocal_rank[q] = ((none_in[:-1] - none_in[1:]) / (best.above + j[1:])).sum()
    for k, recall in result.recall.items():
        recall[q] = 1 - none_in[np.clip(k - best.above, 0, best.rows)]


def _levels(higher: np.ndarray, ties: np.ndarray) -> Iterator[_Level]:
    """Matches, best first, gathered by what they are level with."""
    start = 0
    while start < len(higher):
        same = (higher[start:] == higher[start]) & (ties[start:] == ties[start])
        matches = int(same.sum())
        yield _Level(
            above=int(higher[start]) + start, matches_above=start, matches=matches, rows=matches + int(ties[start])
        )
        start += matches


def _log_choose(n: np.ndarray, k: int) -> np.ndarray:
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
