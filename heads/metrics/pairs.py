"""Similarities of pairs to verify: of listed pairs, or of every query with every gallery row."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from heads.errors import HeadError
from heads.metrics.ranking import BLOCK, NOT_FINITE
from heads.metrics.score_counts import PairHistogram, ScoreCounts
from heads.similarity import Similarity

MAX_PAIRS = 1_000_000  # positives, and negatives, that are kept one by one
MAX_GATHERED = 16_384  # pairs gathered at once: 2 million of an episode test, of 1,024 numbers each, are 25 GB
PRODUCT_RATIO = 64  # a product of all rows is faster than gathering pairs up to this many times as many similarities


@dataclass(frozen=True)
class PairScores:
    """Similarities of P positive and F negative pairs, and the query of each."""

    positives: np.ndarray  # (P,) float32
    negatives: np.ndarray  # (F,) float32
    positive_queries: np.ndarray  # (P,) rows
    negative_queries: np.ndarray  # (F,) rows


@dataclass(frozen=True)
class AllPairs:
    """Every pair of a query and a gallery row: counts of all, and the pairs themselves where they are few.

    `sample` holds all pairs of a kind up to `MAX_PAIRS`, beyond that an equal random share per query.
    """

    positives: ScoreCounts
    negatives: ScoreCounts
    sample: PairScores


@torch.no_grad()
def pair_similarities(similarity: Similarity, left: ArrayLike, right: ArrayLike) -> np.ndarray:
    """(P,) float32 similarities of rows `left` (P,) and `right` (P,).

    One matrix product where the pairs share enough rows, else row by row.

    Raises:
        HeadError: a similarity is not finite.
    """
    left, right = np.asarray(left, np.int64), np.asarray(right, np.int64)
    (first, i), (second, j) = (np.unique(rows, return_inverse=True) for rows in (left, right))
    if len(first) * len(second) <= min(BLOCK, PRODUCT_RATIO * len(left)):
        scores = similarity.block(torch.from_numpy(first), torch.from_numpy(second)).cpu().numpy()[i, j]
    else:
        chunks = (torch.from_numpy(rows).split(MAX_GATHERED) for rows in (left, right))
        scores = torch.cat([similarity.pairs(a, b).cpu() for a, b in zip(*chunks, strict=True)]).numpy()
    if not np.isfinite(scores).all():
        raise HeadError(NOT_FINITE)
    return scores.astype(np.float32)


def score_pairs(similarity: Similarity, left: ArrayLike, *, right: ArrayLike, positive: ArrayLike) -> PairScores:
    """Listed pairs: rows `left` (P,) and `right` (P,), `positive` (P,) bool."""
    left, right, positive = np.asarray(left, np.int64), np.asarray(right, np.int64), np.asarray(positive, bool)
    scores = pair_similarities(similarity, left, right)
    return PairScores(scores[positive], scores[~positive], left[positive], left[~positive])


@torch.no_grad()
def score_all_pairs(
    similarity: Similarity, labels: ArrayLike, *, queries: ArrayLike, gallery: ArrayLike, seed: int = 0
) -> AllPairs:
    """Every query with every gallery row but itself, in blocks of bounded memory.

    Args:
        labels: (N,) int, the group of every row. queries: (Q,) rows. gallery: (G,) rows.

    Raises:
        HeadError: no queries or no gallery, or a similarity that is not finite.
    """
    labels, queries, gallery = (np.asarray(array, np.int64) for array in (labels, queries, gallery))
    if not len(queries) or not len(gallery):
        raise HeadError(f"no pairs: {len(queries)} queries against {len(gallery)} gallery rows; is a split empty?")
    rng = np.random.default_rng(seed)
    shares = _shares(labels, queries, gallery)
    histogram = PairHistogram()
    size = max(1, BLOCK // len(gallery))
    parts = []
    for rows in (queries[i : i + size] for i in range(0, len(queries), size)):
        scores = similarity.block(torch.from_numpy(rows), torch.from_numpy(gallery)).float().cpu().numpy()
        if not np.isfinite(scores.sum()):
            raise HeadError(NOT_FINITE)
        same, own = labels[rows][:, None] == labels[gallery], rows[:, None] == gallery
        kinds = (same & ~own, ~same)
        if min(shares) < 1:
            histogram.add(scores, scores[kinds[0]], scores[own])
        places = [sample_places(kind, share, rng) for kind, share in zip(kinds, shares, strict=True)]
        parts.append((*(scores.ravel()[place] for place in places), *(rows[place // len(gallery)] for place in places)))
    sample = PairScores(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    positives, negatives = histogram.result()
    if shares[0] >= 1:
        positives = ScoreCounts.of(sample.positives)
    if shares[1] >= 1:
        negatives = ScoreCounts.of(sample.negatives)
    return AllPairs(positives, negatives, sample)


def _shares(labels: np.ndarray, queries: np.ndarray, gallery: np.ndarray) -> tuple[float, float]:
    """The shares of all positives and of all negatives that `MAX_PAIRS` are; at least 1 where all are kept."""
    sizes = np.bincount(labels[gallery], minlength=labels.max() + 1)[labels[queries]]
    return MAX_PAIRS / max(1, int(sizes.sum())), MAX_PAIRS / max(1, len(queries) * len(gallery) - int(sizes.sum()))


def sample_places(kind: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Flat places where `kind` (B, G) is true, each kept with probability `share`."""
    if share >= 1:
        return np.flatnonzero(kind)
    # Steps between kept places are geometric: one random number per kept place rather than per place.
    expected = kind.size * share
    steps = rng.geometric(share, size=int(expected + 6 * expected**0.5) + 10)
    place = np.cumsum(steps) - 1
    place = place[place < kind.size]
    return place[kind.ravel()[place]]
