"""Exact k nearest neighbours in a gallery, in blocks of bounded memory."""

import torch
from torch import Tensor

from heads.embeddings import similarity_matrix
from heads.errors import HeadError
from heads.metrics.ranking import BLOCK, NOT_FINITE
from heads.store import TrainedHead


@torch.no_grad()
def knn(trained: TrainedHead, queries: Tensor, *, gallery: Tensor, k: int, block: int = BLOCK) -> tuple[Tensor, Tensor]:
    """Embeddings (Q, W) and (G, W) -> similarities (Q, k) float32 and gallery rows (Q, k) int64, best first.

    Raises:
        HeadError: k is not in 1..G, or a similarity is not finite.
    """
    if not 1 <= k <= len(gallery):
        raise HeadError(f"k is {k}, but the gallery has {len(gallery)} rows: set k to 1..{len(gallery)}")
    best = torch.empty(len(queries), 0, device=queries.device)
    rows = torch.empty(len(queries), 0, dtype=torch.int64, device=queries.device)
    size = max(1, block // max(1, len(queries)))
    for start in range(0, len(gallery), size):
        scores = similarity_matrix(trained, queries, gallery[start : start + size])
        found, place = scores.topk(min(k, scores.shape[1]), dim=1)
        if not torch.isfinite(scores.sum()):  # topk ranks NaN first
            raise HeadError(NOT_FINITE)
        best, rows = torch.cat([best, found], 1), torch.cat([rows, place + start], 1)
        best, order = best.topk(min(k, best.shape[1]), dim=1)
        rows = rows.gather(1, order)
    return best, rows
