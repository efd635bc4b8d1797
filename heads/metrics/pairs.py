"""Similarities of pairs to verify: of listed pairs, or of every query with every gallery row."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from heads.errors import HeadError
from heads.metrics.ranking import BLOCK, NOT_FINITE
from heads.similarity import Similarity

MOST = 1_000_000  # matches, and non-matches, kept: beyond that more of them change no digit that is printed


GATHERED = 16_384  # pairs at once: 2 million of an episode test, of 1,024 numbers each, are 25 GB
CHEAPER = 64  # a product of all rows beats gathering pairs up to this many times as many similarities


@dataclass(frozen=True)
class PairScores:
    """Similarities of M matches and F non-matches, and the row that each of them asks for."""

    matches: np.ndarray  # (M,) float32
    others: np.ndarray  # (F,) float32
    match_rows: np.ndarray  # (M,) query row
    other_rows: np.ndarray  # (F,) query row


@torch.no_grad()
def similarities_of(similarity: Similarity, left: ArrayLike, right: ArrayLike) -> np.ndarray:
    """(P,) similarities of rows `left` (P,) and `right` (P,), by one product where the pairs share enough rows.

    Raises:
        HeadError: a similarity is not finite.
    """
    left, right = np.asarray(left, np.int64), np.asarray(right, np.int64)
    (first, i), (second, j) = (np.unique(rows, return_inverse=True) for rows in (left, right))
    if len(first) * len(second) <= min(BLOCK, CHEAPER * len(left)):
        scores = similarity.block(torch.from_numpy(first), torch.from_numpy(second)).cpu().numpy()[i, j]
    else:
        parts = zip(torch.from_numpy(left).split(GATHERED), torch.from_numpy(right).split(GATHERED), strict=True)
        scores = torch.cat([similarity.pairs(a, b).cpu() for a, b in parts]).numpy()
    if not np.isfinite(scores).all():
        raise HeadError(NOT_FINITE)
    return scores.astype(np.float32)


def score_pairs(similarity: Similarity, left: ArrayLike, *, right: ArrayLike, alike: ArrayLike) -> PairScores:
    """Listed pairs: rows `left` (P,) and `right` (P,), `alike` (P,) bool."""
    left, right, alike = np.asarray(left, np.int64), np.asarray(right, np.int64), np.asarray(alike, bool)
    scores = similarities_of(similarity, left, right)
    return PairScores(scores[alike], scores[~alike], left[alike], left[~alike])


@torch.no_grad()
def score_all_pairs(
    similarity: Similarity, codes: ArrayLike, *, queries: ArrayLike, gallery: ArrayLike, seed: int = 0
) -> PairScores:
    """Every query with every gallery row but itself; beyond `MOST` of a kind, an equal random part of each query's.

    Raises:
        HeadError: no queries or no gallery.
    """
    codes, queries, gallery = (np.asarray(array, np.int64) for array in (codes, queries, gallery))
    if not len(queries) or not len(gallery):
        raise HeadError(f"no pairs: {len(queries)} queries against {len(gallery)} gallery rows; is a split empty?")
    rng = np.random.default_rng(seed)
    groups, sizes = np.unique(codes[gallery], return_counts=True)
    matches = int(
        (np.isin(codes[queries], groups) * sizes[np.searchsorted(groups, codes[queries]) % len(groups)]).sum()
    )
    shares = [MOST / max(1, matches), MOST / max(1, len(queries) * len(gallery) - matches)]
    size = max(1, BLOCK // len(gallery))
    parts = []
    for rows in (queries[i : i + size] for i in range(0, len(queries), size)):
        scores = similarity.block(torch.from_numpy(rows), torch.from_numpy(gallery)).float().cpu().numpy()
        same = codes[rows][:, None] == codes[gallery]
        alike = same & (rows[:, None] != gallery)
        places = [_some(kind, share, rng) for kind, share in zip((alike, ~same), shares, strict=True)]
        parts.append((*(scores.ravel()[place] for place in places), *(rows[place // len(gallery)] for place in places)))
    return PairScores(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _some(kind: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Flat places where `kind` (B, G) holds, each kept with chance `share`."""
    if share >= 1:
        return np.flatnonzero(kind)
    # Steps between kept places are geometric: one random number for each that is kept, not for each there is.
    expected = kind.size * share
    steps = rng.geometric(share, size=int(expected + 6 * expected**0.5) + 10)
    place = np.cumsum(steps) - 1
    place = place[place < kind.size]
    return place[kind.ravel()[place]]
