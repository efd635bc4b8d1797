"""Alpha query expansion: a query is replaced by the weighted mean of itself and its nearest gallery rows."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from heads.errors import HeadError
from heads.metrics.ranking import BLOCK, NOT_FINITE
from heads.similarity import Similarity

NEIGHBOURS = 10
ALPHA = 3.0


@torch.no_grad()
def query_expansion(
    similarity: Similarity,
    *,
    queries: ArrayLike,
    gallery: ArrayLike,
    k: int = NEIGHBOURS,
    alpha: float = ALPHA,
    block: int = BLOCK,
) -> Similarity:
    """(s(q, g) + sum_n s(q, n)^alpha s(n, g)) / (1 + sum_n s(q, n)^alpha) over the k nearest gallery rows n of q.

    Radenović, Tolias and Chum, "Fine-tuning CNN image retrieval with no human annotation" (2018), section 3.3. For
    inner products this is the similarity of the expanded query, up to its length. It raises MAP where a query has
    several positives; with a single one it pulls in negatives. Memory is bounded by `block` similarities.

    Args:
        queries, gallery: (Q,) and (G,) rows; the result is defined for these. A row is not its own neighbour.

    Raises:
        HeadError: no gallery, similarities that are not positive (of no cosine), or one that is not finite.
    """
    queries, gallery = (np.asarray(rows, np.int64) for rows in (queries, gallery))
    if not len(queries) or not len(gallery):
        raise HeadError(f"query_expansion needs queries and a gallery, there are {len(queries)} and {len(gallery)}")
    every, columns = torch.from_numpy(queries), torch.from_numpy(gallery)
    size = int(max(queries.max(), gallery.max())) + 1
    places, values = [], []
    for rows in every.split(max(1, block // len(gallery))):
        scores = similarity.block(rows, columns).float()
        if not torch.isfinite(scores.sum()):
            raise HeadError(NOT_FINITE)
        scores = scores.masked_fill((rows[:, None] == columns).to(scores.device), 0)
        nearest = scores.clamp(min=0).topk(min(k, len(gallery)), dim=1)
        places.append(nearest.indices.cpu())
        values.append(nearest.values**alpha)
    if not any(part.any() for part in values):
        raise HeadError(
            "query_expansion weighs neighbours by their cosine, and no similarity here is above 0: use csls"
        )
    found = torch.cat(values)
    weights, neighbours = found.new_zeros(size, found.shape[1]), torch.zeros(size, found.shape[1], dtype=torch.int64)
    weights[every], neighbours[every] = found, columns[torch.cat(places)]

    def expanded_block(q: Tensor, g: Tensor) -> Tensor:
        return torch.cat([_block(part, g) for part in q.split(max(1, block // (k + 1) // max(1, len(g))))])

    def _block(q: Tensor, g: Tensor) -> Tensor:
        rows, place = neighbours[q].unique(return_inverse=True)
        of_neighbours, total = similarity.block(rows, g), similarity.block(q, g).clone()
        for j in range(place.shape[1]):
            total += weights[q][:, j, None] * of_neighbours[place[:, j]]
        return total / (1 + weights[q].sum(1, keepdim=True))

    def expanded_pairs(a: Tensor, b: Tensor) -> Tensor:
        total = similarity.pairs(a, b).clone()
        for j in range(neighbours.shape[1]):
            total += weights[a][:, j] * similarity.pairs(neighbours[a][:, j], b)
        return total / (1 + weights[a].sum(1))

    return Similarity(block=expanded_block, pairs=expanded_pairs)
