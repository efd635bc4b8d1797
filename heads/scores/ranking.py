"""Where do the matches of a query stand in the gallery? Counted, not sorted, and in blocks, so memory stays flat."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from heads.errors import HeadError
from heads.similarity import Similarity

TIE = 1e-6  # relative: closer than this is a tie, because float32 products of equal rows differ in their last bits
BLOCK = 2**24  # similarities in memory at once: 64 MB
COUNT_UP_TO = 4  # positives per query up to which counting beats sorting the block


@dataclass(frozen=True)
class Ranks:
    """Each positive of each query among the query's negatives. Q queries, P (query, positive) entries.

    A negative is a gallery row of another group; a query is never in its own gallery. Entries are ordered by
    query, best positive first.
    """

    queries: np.ndarray  # (Q,) row numbers, in the order asked, without those left out
    negatives: np.ndarray  # (Q,) how many negatives the query's gallery holds
    query: np.ndarray  # (P,) position in `queries`, ascending
    positive: np.ndarray  # (P,) row numbers
    higher: np.ndarray  # (P,) negatives more alike to the query than this positive
    ties: np.ndarray  # (P,) negatives exactly as alike
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
    similarity: Similarity, codes: ArrayLike, *, queries: ArrayLike, gallery: ArrayLike, block: int = BLOCK
) -> Ranks:
    """Rank every gallery row of a query's own group among the gallery rows of other groups.

    Args:
        similarity: higher means more alike.
        codes: (N,) int, the group of every row.
        queries, gallery: row numbers; a row in both is left out of its own gallery.
        block: similarities held in memory at once.

    Raises:
        HeadError: no queries, no gallery, no query with a match, or a similarity that is not finite.
    """
    codes, queries, gallery = (np.asarray(array, dtype=np.int64) for array in (codes, queries, gallery))
    if not len(queries) or not len(gallery):
        raise HeadError(
            f"nothing to rank: {len(queries)} queries against {len(gallery)} gallery rows; is a split empty?"
        )
    places, own = _positives(codes, queries, gallery)
    count = np.array([len(place) for place in places])
    negatives = len(gallery) - count - (own >= 0)
    kept = np.flatnonzero((count > 0) & (negatives > 0))
    if not len(kept):
        raise HeadError(
            f"nothing to rank: none of {len(queries)} queries has both a match and a non-match in the gallery"
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


def _positives(codes: np.ndarray, queries: np.ndarray, gallery: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """For each query: places in the gallery of its matches, and (Q,) its own place or -1."""
    order = np.argsort(codes[gallery], kind="stable")
    ordered = codes[gallery][order]
    starts = np.searchsorted(ordered, codes[queries], side="left")
    ends = np.searchsorted(ordered, codes[queries], side="right")
    by_row = np.full(max(queries.max(), gallery.max()) + 1, -1)
    by_row[gallery] = np.arange(len(gallery))
    own = by_row[queries]
    places = []
    for start, end, self_place in zip(starts, ends, own, strict=True):
        place = order[start:end]
        places.append(place[place != self_place] if self_place >= 0 else place)
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
    """(B, G) similarities -> for each real positive: its place, negatives above it, negatives level with it."""
    if not torch.isfinite(scores.sum()):
        raise HeadError("a similarity is not finite (NaN or infinite): the head's output or the features are broken")
    place, real = (part.to(scores.device) for part in places)
    found = scores.gather(1, place).masked_fill(~real, -torch.inf)
    found, order = found.sort(dim=1, descending=True, stable=True)  # padding goes last
    place, real = place.gather(1, order), real.gather(1, order)

    scores.scatter_(1, place, -torch.inf)  # what is left to count are the negatives
    with_own = torch.from_numpy(np.flatnonzero(own >= 0)).to(scores.device)
    scores[with_own, torch.from_numpy(own[own >= 0]).to(scores.device)] = -torch.inf

    margin = TIE * found.abs().nan_to_num(posinf=0)
    above, level = found + margin, found - margin
    if place.shape[1] <= COUNT_UP_TO:
        flags = torch.empty_like(scores)
        higher = torch.stack([_count(torch.gt, scores, bound, flags) for bound in above.T], dim=1)
        at_least = torch.stack([_count(torch.ge, scores, bound, flags) for bound in level.T], dim=1)
    else:
        ordered = scores.sort(dim=1).values
        higher = scores.shape[1] - torch.searchsorted(ordered, above.contiguous(), right=True)
        at_least = scores.shape[1] - torch.searchsorted(ordered, level.contiguous(), right=False)
    return place[real].cpu().numpy(), higher[real].cpu().numpy(), (at_least - higher)[real].cpu().numpy()


def _count(beats: Callable[..., Tensor], scores: Tensor, bound: Tensor, flags: Tensor) -> Tensor:
    """(B,) how many of each row's scores (B, G) beat its bound (B,). Sums of floats are 7 times as fast as of bools."""
    return beats(scores, bound[:, None], out=flags).sum(1).long()  # exact below 2^24 columns
