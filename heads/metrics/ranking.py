"""The ranks of a query's positives in the gallery: counted rather than sorted, in blocks of bounded memory."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from heads.errors import HeadError
from heads.similarity import Similarity

TIE = 1e-6  # relative: closer is a tie, because float32 products of equal rows differ in their last bits
BLOCK = 2**24  # similarities in memory at once: 64 MB
TILE = 2**13  # gallery rows counted at a time
BELOW_ALL = -1e30  # for entries that are ignored; finite, so that one sum shows whether all similarities are
NOT_FINITE = "a similarity is not finite (NaN or infinite): the head's output or the features are broken"
COUNT_UP_TO = 4  # positives per query up to which counting beats sorting the block


@dataclass(frozen=True)
class Ranks:
    """Each positive of each query among the query's negatives. Q queries, P (query, positive) entries.

    A negative is a gallery row of another group; a query is never in its own gallery. Entries are ordered by
    query, best positive first.
    """

    queries: np.ndarray  # (Q,) row numbers, in the given order, without those left out
    negatives: np.ndarray  # (Q,) how many negatives the query's gallery holds
    query: np.ndarray  # (P,) position in `queries`, ascending
    positive: np.ndarray  # (P,) row numbers
    higher: np.ndarray  # (P,) negatives more similar to the query than this positive
    ties: np.ndarray  # (P,) negatives tied with it
    left_out: int  # queries with no positive or no negative in the gallery

    @property
    def positives(self) -> np.ndarray:
        """(Q,) positives of each query."""
        return np.bincount(self.query, minlength=len(self.queries))

    def mean_per_query(self, values: np.ndarray) -> np.ndarray:
        """(P,) values of entries -> (Q,) means over each query's positives."""
        return np.bincount(self.query, weights=values, minlength=len(self.queries)) / self.positives


@torch.no_grad()
def rank_queries(
    similarity: Similarity, labels: ArrayLike, *, queries: ArrayLike, gallery: ArrayLike, block: int = BLOCK
) -> Ranks:
    """Rank every gallery row of a query's own group among the gallery rows of other groups.

    Args:
        similarity: higher is more similar.
        labels: (N,) int, the group of every row.
        queries, gallery: row numbers; a row in both is left out of its own gallery.
        block: similarities held in memory at once.

    Raises:
        HeadError: no queries, no gallery, no query with a positive, or a similarity that is not finite.
    """
    labels, queries, gallery = (np.asarray(array, dtype=np.int64) for array in (labels, queries, gallery))
    if not len(queries) or not len(gallery):
        raise HeadError(
            f"nothing to rank: {len(queries)} queries against {len(gallery)} gallery rows; is a split empty?"
        )
    places, own = _positives(labels, queries, gallery)
    count = np.array([len(place) for place in places])
    negatives = len(gallery) - count - (own >= 0)
    kept = np.flatnonzero((count > 0) & (negatives > 0))
    if not len(kept):
        raise HeadError(
            f"nothing to rank: none of {len(queries)} queries has both a positive and a negative in the gallery"
        )

    columns = torch.from_numpy(gallery)
    size = max(1, block // len(gallery))
    parts = [
        _rank_block(
            similarity.block(torch.from_numpy(queries[chosen]), columns),
            _pad([places[i] for i in chosen]),
            own[chosen],
        )
        for chosen in (kept[i : i + size] for i in range(0, len(kept), size))
    ]
    place, higher, ties = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Ranks(
        queries=queries[kept],
        negatives=negatives[kept],
        query=np.repeat(np.arange(len(kept)), count[kept]),
        positive=gallery[place],
        higher=higher,
        ties=ties,
        left_out=len(queries) - len(kept),
    )


def rankable(labels: ArrayLike, *, queries: ArrayLike, gallery: ArrayLike) -> np.ndarray:
    """(Q,) bool: queries with a positive and a negative in the gallery, themselves not counted."""
    labels, queries, gallery = (np.asarray(array, dtype=np.int64) for array in (labels, queries, gallery))
    group_sizes = np.bincount(labels[gallery], minlength=labels.max() + 1)[labels[queries]]
    return (group_sizes > np.isin(queries, gallery)) & (group_sizes < len(gallery))


def _positives(labels: np.ndarray, queries: np.ndarray, gallery: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """For each query: places in the gallery of its positives, and (Q,) its own place or -1."""
    order = np.argsort(labels[gallery], kind="stable")
    ordered = labels[gallery][order]
    starts = np.searchsorted(ordered, labels[queries], side="left")
    ends = np.searchsorted(ordered, labels[queries], side="right")
    by_row = np.full(max(queries.max(), gallery.max()) + 1, -1)
    by_row[gallery] = np.arange(len(gallery))
    own = by_row[queries]
    places = []
    for start, end, own_place in zip(starts, ends, own, strict=True):
        place = order[start:end]
        places.append(place[place != own_place] if own_place >= 0 else place)
    return places, own


def _pad(places: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Ragged places -> (B, R) with each row's first place repeated, and (B, R) bool where they are real."""
    counts = np.array([len(place) for place in places])
    real = np.arange(counts.max()) < counts[:, None]
    padded = np.repeat(np.array([place[0] for place in places])[:, None], counts.max(), axis=1)
    padded[real] = np.concatenate(places)
    return torch.from_numpy(padded), torch.from_numpy(real)


def _rank_block(
    scores: Tensor, places: tuple[Tensor, Tensor], own: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(B, G) similarities -> for each real positive: its place, negatives above it, negatives tied with it."""
    place, real = (part.to(scores.device) for part in places)
    found = scores.gather(1, place).masked_fill(~real, -torch.inf)
    if not torch.isfinite(found[real]).all():
        raise HeadError(NOT_FINITE)
    found, order = found.sort(dim=1, descending=True, stable=True)  # padding goes last
    place, real = place.gather(1, order), real.gather(1, order)

    scores.scatter_(1, place, BELOW_ALL)  # what is left to count are the negatives
    with_own = torch.from_numpy(np.flatnonzero(own >= 0)).to(scores.device)
    scores[with_own, torch.from_numpy(own[own >= 0]).to(scores.device)] = BELOW_ALL

    margin = TIE * found.abs().nan_to_num(posinf=0)
    beats = _beats_by_count if place.shape[1] <= COUNT_UP_TO else _beats_by_order
    higher, at_least = beats(scores, found + margin, found - margin)
    return place[real].cpu().numpy(), higher[real].cpu().numpy(), (at_least - higher)[real].cpu().numpy()


def _beats_by_count(scores: Tensor, above: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """How many of each row's scores (B, G) exceed each bound `above` (B, R), and how many reach `level` (B, R).

    In tiles that stay in the cache, or the passes over the scores cost as much as the matrix product. Sums of floats,
    which are exact here, are 7 times as fast as of bools.
    """
    higher, at_least = (torch.zeros_like(above) for _ in range(2))
    flags = scores.new_empty(len(scores), min(TILE, scores.shape[1]))
    total = scores.new_zeros(())
    for tile in scores.split(TILE, dim=1):
        total += tile.sum()
        flag = flags[:, : tile.shape[1]]
        for r in range(above.shape[1]):
            higher[:, r] += torch.gt(tile, above[:, r, None], out=flag).sum(1)
            at_least[:, r] += torch.ge(tile, level[:, r, None], out=flag).sum(1)
    if not torch.isfinite(total):
        raise HeadError(NOT_FINITE)
    return higher.long(), at_least.long()


def _beats_by_order(scores: Tensor, above: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """The same by sorting each row once: for many bounds."""
    if not torch.isfinite(scores.sum()):
        raise HeadError(NOT_FINITE)
    # NumPy sorts float32 with vector instructions, six times as fast as torch on a processor.
    ordered = (
        torch.from_numpy(np.sort(scores.numpy(), axis=1)) if scores.device.type == "cpu" else scores.sort(1).values
    )
    width = scores.shape[1]
    higher = width - torch.searchsorted(ordered, above.contiguous(), right=True)
    return higher, width - torch.searchsorted(ordered, level.contiguous(), right=False)
