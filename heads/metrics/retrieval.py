"""Recall@k, reciprocal rank, average precision and MAP@R over the whole gallery, ties by expectation.

Tied rows are in random order; every score here is the exact mean over those orders (McSherry and Najork, "Computing
information retrieval performance measures efficiently in the presence of tied scores", 2008).
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from heads.errors import HeadError
from heads.metrics.log_choose import log_choose
from heads.metrics.ranking import Ranks

MAX_PLACES = 2**21  # rows of tied levels in one chunk


@dataclass(frozen=True)
class Retrieval:
    """(Q,) each: the scores of every query against the whole gallery."""

    recall: dict[int, np.ndarray]  # k -> probability that a positive is among the best k
    reciprocal_rank: np.ndarray  # of the best positive
    average_precision: np.ndarray
    map_at_r: np.ndarray  # Musgrave et al., "A Metric Learning Reality Check", 2020, eq. 4
    r_precision: np.ndarray


@dataclass(frozen=True)
class _Levels:
    """L levels: tied gallery rows of one query, positives and negatives."""

    start: np.ndarray  # (L,) entry of its first positive
    query: np.ndarray  # (L,) position of its query
    positives: np.ndarray  # (L,)
    rows: np.ndarray  # (L,) positives and negatives
    above: np.ndarray  # (L,) rows above the level
    positives_above: np.ndarray  # (L,)


def retrieval(ranks: Ranks, *, ks: tuple[int, ...] = (1, 5, 20)) -> Retrieval:
    """Score every query of `ranks`.

    Raises:
        HeadError: k is larger than the gallery.
    """
    smallest = int((ranks.negatives + ranks.positives).min())
    if ks and not 1 <= min(ks) <= max(ks) <= smallest:
        wrong = max(ks) if max(ks) > smallest else min(ks)
        raise HeadError(f"recall at {wrong}, but the gallery has {smallest} rows: set k to 1..{smallest}")
    count = ranks.positives
    # Entries are ordered best first: the i-th positive of a query has i positives above it.
    before = np.arange(len(ranks.query)) - np.repeat(np.cumsum(count) - count, count)
    rank = ranks.higher + before + 1
    precision = (before + 1) / rank
    within_r = (rank <= np.repeat(count, count)).astype(np.float64)
    precision_at_r = precision * within_r
    first = before == 0
    reciprocal = 1 / rank[first]
    recall = {k: (rank[first] <= k).astype(np.float64) for k in ks}

    for tied in _tied_levels(ranks, before):
        entries = np.repeat(tied.start, tied.positives) + _within(tied.positives)
        r = count[tied.query]
        shares = _expected_precision(tied, r)
        for values, level in zip((precision, precision_at_r, within_r), shares, strict=True):
            values[entries] = np.repeat(level, tied.positives)
        best = tied.positives_above == 0
        reciprocal[tied.query[best]] = _expected_reciprocal(tied)[best]
        for k, values in recall.items():
            none = _none_in(tied, np.clip(k - tied.above, 0, tied.rows))
            values[tied.query[best]] = 1 - none[best]
    return Retrieval(
        recall=recall,
        reciprocal_rank=reciprocal,
        average_precision=ranks.mean_per_query(precision),
        map_at_r=ranks.mean_per_query(precision_at_r),
        r_precision=ranks.mean_per_query(within_r),
    )


def _tied_levels(ranks: Ranks, before: np.ndarray) -> Iterator[_Levels]:
    """Levels that hold a positive and a negative, as many at a time as have `MAX_PLACES` rows together."""
    same = (np.diff(ranks.query) == 0) & (np.diff(ranks.higher) == 0) & (np.diff(ranks.ties) == 0)
    starts = np.flatnonzero(np.append(True, ~same))
    positives = np.diff(np.append(starts, len(ranks.query)))
    tied = ranks.ties[starts] > 0
    starts, positives = starts[tied], positives[tied]
    rows = positives + ranks.ties[starts]
    chunk = np.cumsum(rows) // MAX_PLACES
    for chosen in np.split(np.arange(len(starts)), np.flatnonzero(np.diff(chunk)) + 1):
        if len(chosen):
            start = starts[chosen]
            above = ranks.higher[start] + before[start]
            yield _Levels(start, ranks.query[start], positives[chosen], rows[chosen], above, before[start])


def _expected_precision(tied: _Levels, r: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a positive of each level, over all orders: its mean precision, the same within the first R, P(within R)."""
    level, j = np.repeat(np.arange(len(tied.rows)), tied.rows), _within(tied.rows)
    place = tied.above[level] + 1 + j
    # Given that this place holds a positive, any other of the level does with P = (positives - 1) / (rows - 1).
    others = (tied.positives - 1) / np.maximum(tied.rows - 1, 1)
    at_place = (tied.positives_above[level] + 1 + j * others[level]) / place
    whole = np.bincount(level, weights=at_place) / tied.rows
    inside = np.bincount(level, weights=at_place * (place <= r[level])) / tied.rows
    return whole, inside, np.clip(r - tied.above, 0, tied.rows) / tied.rows


def _expected_reciprocal(tied: _Levels) -> np.ndarray:
    """(L,) mean of 1 / rank of a level's first positive."""
    level, j = np.repeat(np.arange(len(tied.rows)), tied.rows), _within(tied.rows)
    repeated = _Levels(*(getattr(tied, field.name)[level] for field in fields(tied)))
    first_here = _none_in(repeated, j) - _none_in(repeated, j + 1)
    return np.bincount(level, weights=first_here / (repeated.above + 1 + j))


def _none_in(tied: _Levels, places: np.ndarray) -> np.ndarray:
    """P(no positive in the first `places` of each level): C(rows - places, positives) / C(rows, positives)."""
    return np.exp(log_choose(tied.rows - places, tied.positives) - log_choose(tied.rows, tied.positives))


def _within(sizes: np.ndarray) -> np.ndarray:
    """0, 1, ..., size - 1 for each size in turn."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
