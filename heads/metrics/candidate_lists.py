"""Hit rate at k in lists of one positive and C - 1 distractors: exact over random distractors, and on frozen lists."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from heads.errors import HeadError
from heads.metrics.log_choose import log_choose
from heads.metrics.pairs import pair_similarities
from heads.metrics.ranking import TIE, Ranks
from heads.similarity import Similarity


def hit_rate(ranks: Ranks, *, k: int, candidates: int) -> float:
    """Mean over queries of `hits`."""
    return float(hits(ranks, k=k, candidates=candidates).mean())


def hits(ranks: Ranks, *, k: int, candidates: int) -> np.ndarray:
    """(Q,) probability that a positive is among the best k of a list of itself and `candidates - 1` distractors.

    Distractors are drawn from the negatives without replacement, so with b of n negatives above the positive it is
    P(Hypergeometric(n, b, candidates - 1) <= k - 1). Random order among t tied negatives makes b uniform on b..b+t, in
    the list as in the whole gallery, so ties are the mean over those. Several positives of one query: their mean.

    Raises:
        HeadError: k is not in 1..candidates, or a gallery has too few negatives.
    """
    check_k(k, candidates=candidates)
    _check_distractors(ranks, candidates)
    probability = np.empty(len(ranks.higher))
    for n, of_n in _by_negatives(ranks):
        sums = _cumulative_probability(n, candidates - 1, k)
        first, last = ranks.higher[of_n], ranks.higher[of_n] + ranks.ties[of_n]
        probability[of_n] = (sums[last + 1] - sums[first]) / (last + 1 - first)
    return ranks.mean_per_query(probability)


def hit_curve(ranks: Ranks, *, candidates: int) -> np.ndarray:
    """(C,) hit rates at k = 1..C, as `hit_rate`; the cost is little more than that of one k.

    Raises:
        HeadError: a gallery has too few negatives.
    """
    _check_distractors(ranks, candidates)
    share = 1 / ranks.positives[ranks.query] / (ranks.ties + 1)
    curve = np.zeros(candidates)
    for n, of_n in _by_negatives(ranks):
        first, last = ranks.higher[of_n], ranks.higher[of_n] + ranks.ties[of_n]
        starts = np.bincount(first, weights=share[of_n], minlength=n + 2)
        ends = np.bincount(last + 1, weights=share[of_n], minlength=n + 2)
        weight = np.cumsum(starts - ends)[:-1]  # (n + 1,) share of queries with b negatives above the positive
        curve += [weight @ np.diff(_cumulative_probability(n, candidates - 1, k)) for k in range(1, candidates + 1)]
    return np.clip(curve / len(ranks.queries), 0, 1)


def _by_negatives(ranks: Ranks) -> Iterator[tuple[int, np.ndarray | slice]]:
    """Each number of negatives, and the entries whose query has it."""
    numbers = np.unique(ranks.negatives)
    if len(numbers) == 1:
        yield int(numbers[0]), slice(None)
        return
    negatives = ranks.negatives[ranks.query]
    for n in numbers.tolist():
        yield n, negatives == n


def _check_distractors(ranks: Ranks, candidates: int) -> None:
    fewest = int(ranks.negatives.min())
    if candidates - 1 > fewest:
        raise HeadError(
            f"a list of {candidates} needs {candidates - 1} distractors, the gallery has only {fewest}: "
            "lower data.candidates"
        )


def check_k(k: int, *, candidates: int) -> None:
    """Raises HeadError where k is not in 1..candidates."""
    if not 1 <= k <= candidates:
        raise HeadError(f"k is {k} in lists of {candidates}: set k to 1..{candidates}")


@lru_cache(maxsize=256)
def _cumulative_probability(n: int, distractors: int, k: int) -> np.ndarray:
    """(n + 2,) sums over b' < b of P(Hypergeometric(n, b', distractors) <= k - 1)."""
    b = np.arange(n + 1)
    whole = log_choose(n, distractors)
    probability = sum(np.exp(log_choose(b, i) + log_choose(n - b, distractors - i) - whole) for i in range(k))
    return np.concatenate([[0.0], np.cumsum(np.clip(probability, 0, 1))])


def rank_lists(
    similarity: Similarity, *, queries: ArrayLike, candidates: ArrayLike, truth: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """On frozen lists: (Q,) distractors above the positive, and (Q,) distractors tied with it.

    Args:
        queries: (Q,) rows. candidates: (Q, C) rows. truth: (Q,) the column of the positive.
    """
    queries, candidates, truth = (np.asarray(array, dtype=np.int64) for array in (queries, candidates, truth))
    size = candidates.shape[1]
    scores = pair_similarities(similarity, np.repeat(queries, size), candidates.ravel()).reshape(-1, size)
    true = np.take_along_axis(scores, truth[:, None], axis=1)
    higher = scores > true + TIE * np.abs(true)
    tied = (scores >= true - TIE * np.abs(true)) & ~higher
    return higher.sum(1), tied.sum(1) - 1


def list_hits(higher: ArrayLike, ties: ArrayLike, *, k: int) -> np.ndarray:
    """(Q,) probability that the positive is among the best k when `ties` distractors fall in random order with it."""
    return np.clip((k - np.asarray(higher)) / (np.asarray(ties) + 1), 0, 1)
