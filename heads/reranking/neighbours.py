"""k nearest neighbours in the order of a re-ranking."""

import numpy as np
import torch
from torch import Tensor

from heads.embeddings import cross_similarity
from heads.errors import HeadError
from heads.metrics.ranking import BLOCK
from heads.reranking.registry import rerank
from heads.store import TrainedHead


@torch.no_grad()
def reranked_knn(
    trained: TrainedHead, method: str, queries: Tensor, *, gallery: Tensor, k: int, block: int = BLOCK
) -> tuple[Tensor, Tensor]:
    """Embeddings (Q, W) and (G, W) -> similarities (Q, k) float32 and gallery rows (Q, k) int64, best first.

    The order is that of `rerank`, which compares all queries with all gallery rows; the similarities are the head's
    own, so they need not fall.

    Raises:
        HeadError: k is not in 1..G, fewer than two queries, or a similarity that is not finite.
    """
    if not 1 <= k <= len(gallery):
        raise HeadError(f"k is {k}, but the gallery has {len(gallery)} rows: set k to 1..{len(gallery)}")
    plain = cross_similarity(trained, queries, gallery)
    first = len(queries)
    columns = torch.arange(first, first + len(gallery))
    corrected = rerank(method, plain, queries=np.arange(first), gallery=columns.numpy())
    similarities, rows = [], []
    for chunk in torch.arange(first).split(max(1, block // len(gallery))):
        place = corrected.block(chunk, columns).topk(k, dim=1).indices
        similarities.append(plain.block(chunk, columns).gather(1, place))
        rows.append(place)
    return torch.cat(similarities), torch.cat(rows)
