"""Every query has exactly one positive: similarities of a soft assignment between queries and gallery."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from heads.errors import HeadError
from heads.metrics.ranking import NOT_FINITE
from heads.reranking.offsets import with_offsets
from heads.similarity import Similarity

MAX_SIMILARITIES = 2**26  # Q * G that are held: 256 MB
TEMPERATURE = 0.2  # in standard deviations of the similarities, chosen on val of the default data
ITERATIONS = 100


@torch.no_grad()
def one_to_one(
    similarity: Similarity,
    *,
    queries: ArrayLike,
    gallery: ArrayLike,
    temperature: float = TEMPERATURE,
    iterations: int = ITERATIONS,
) -> Similarity:
    """s(q, g) - u(q) - v(g), with the potentials u and v of entropic optimal transport between queries and gallery.

    Sinkhorn's iteration (Cuturi, "Sinkhorn distances", 2013, algorithm 1) in log space: every query has mass 1, every
    gallery row Q / G. In the limit of low temperature the best of each query is that of the linear assignment problem.
    Transductive: a similarity depends on all other queries.

    Args:
        queries, gallery: (Q,) and (G,) rows; the result is defined for these. A row is not assigned to itself.
        temperature: in standard deviations of the similarities.

    Raises:
        HeadError: fewer than two queries or gallery rows, too many similarities to hold, or one that is not finite.
    """
    queries, gallery = (np.asarray(rows, np.int64) for rows in (queries, gallery))
    if min(len(queries), len(gallery)) < 2:
        raise HeadError(
            f"one_to_one needs two queries and two gallery rows at least, there are {len(queries)} and {len(gallery)}"
        )
    if len(queries) * len(gallery) > MAX_SIMILARITIES:
        raise HeadError(
            f"one_to_one holds all similarities: {len(queries):,} x {len(gallery):,} are more than "
            f"{MAX_SIMILARITIES:,}; lower scores.queries or set scores.rerank to csls"
        )
    rows, columns = torch.from_numpy(queries), torch.from_numpy(gallery)
    scores = similarity.block(rows, columns).float()
    if not torch.isfinite(scores.sum()):
        raise HeadError(NOT_FINITE)
    scale = temperature * float(scores.double().std()) or 1.0
    logits = (scores / scale).masked_fill_((rows[:, None] == columns).to(scores.device), -torch.inf)
    u, v = _potentials(logits, iterations)
    return with_offsets(similarity, rows, columns, of_query=scale * u, of_gallery=scale * v)


def _potentials(logits: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """(Q, G) -> (Q,) and (G,): exp(logits - u - v) has row sums 1 and column sums Q / G."""
    of_column = float(np.log(logits.shape[0] / logits.shape[1]))
    v = logits.new_zeros(logits.shape[1])
    for _ in range(iterations):
        u = torch.logsumexp(logits - v, 1)
        v = torch.logsumexp(logits - u[:, None], 0) - of_column
    return u, v
