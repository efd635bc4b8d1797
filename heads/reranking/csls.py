"""Cross-domain similarity local scaling: it lowers the similarity of hubs, gallery rows that are near to many
queries.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from heads.errors import HeadError
from heads.metrics.ranking import BLOCK, NOT_FINITE
from heads.reranking.offsets import with_offsets
from heads.similarity import Similarity

NEIGHBOURS = 2  # on val of the default data, 1 to 5 differ by less than their noise and 10 is worse


@torch.no_grad()
def csls(
    similarity: Similarity, *, queries: ArrayLike, gallery: ArrayLike, k: int = NEIGHBOURS, block: int = BLOCK
) -> Similarity:
    """s(q, g) - (r(q) + r(g)) / 2, with r the mean similarity to the k nearest rows of the other side.

    Half of eq. 3 of Conneau et al., "Word translation without parallel data" (2018), so that differences keep their
    size. Transductive: r(g) depends on all queries. Memory is bounded by `block` similarities.

    Args:
        queries, gallery: (Q,) and (G,) rows; the result is defined for these. A row is not its own neighbour.

    Raises:
        HeadError: fewer than two queries or gallery rows, or a similarity that is not finite.
    """
    queries, gallery = (np.asarray(rows, np.int64) for rows in (queries, gallery))
    if min(len(queries), len(gallery)) < 2:
        raise HeadError(
            f"csls needs two queries and two gallery rows at least, there are {len(queries)} and {len(gallery)}"
        )
    every, columns = torch.from_numpy(queries), torch.from_numpy(gallery)
    of_queries, best = [], torch.empty(0, len(gallery))
    for rows in every.split(max(1, block // len(gallery))):
        scores = similarity.block(rows, columns).float()
        if not torch.isfinite(scores.sum()):
            raise HeadError(NOT_FINITE)
        own = (rows[:, None] == columns).to(scores.device)
        scores = scores.masked_fill(own, -torch.inf)
        of_queries.append(_mean_of_finite(scores.topk(min(k, len(gallery)), dim=1).values, dim=1))
        merged = torch.cat([best.to(scores.device), scores])
        best = merged.topk(min(k, len(merged)), dim=0).values
    of_query, of_gallery = torch.cat(of_queries) / 2, _mean_of_finite(best, dim=0) / 2
    return with_offsets(similarity, every, columns, of_query=of_query, of_gallery=of_gallery)


def _mean_of_finite(values: Tensor, dim: int) -> Tensor:
    """The mean along `dim` without a row's similarity to itself, which is minus infinity."""
    finite = torch.isfinite(values)
    return values.masked_fill(~finite, 0).sum(dim) / finite.sum(dim).clamp(min=1)
