"""How alike two rows are, as scores see it: whatever the head, a function of row numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

Distance = Literal["cosine", "euclidean"]


@dataclass(frozen=True)
class Similarity:
    """Two views of one function; higher means more alike, and only the order and a calibrated threshold mean anything.

    `block(q, g)`: rows (Q,) and (G,) int64 -> (Q, G) float32, every query against every gallery row.
    `pairs(a, b)`: rows (P,) and (P,) int64 -> (P,) float32, row by row.
    """

    block: Callable[[Tensor, Tensor], Tensor]
    pairs: Callable[[Tensor, Tensor], Tensor]


def embedding_similarity(embeddings: Tensor, distance: Distance = "cosine") -> Similarity:
    """Cosine, or the negated Euclidean distance, of the rows of `embeddings` (N, E)."""
    embeddings = embeddings.float()
    if distance == "cosine":
        unit = normalize(embeddings, dim=1)
        gallery = _kept(unit)
        return Similarity(
            block=lambda q, g: unit[q] @ gallery(g).T,
            pairs=lambda a, b: (unit[a] * unit[b]).sum(1),
        )
    gallery = _kept(embeddings)
    return Similarity(
        block=lambda q, g: -torch.cdist(embeddings[q], gallery(g)),
        pairs=lambda a, b: -torch.linalg.vector_norm(embeddings[a] - embeddings[b], dim=1),
    )


def _kept(table: Tensor) -> Callable[[Tensor], Tensor]:
    """`table[rows]`, kept while the same tensor of rows is asked for: rankings do, block after block of queries."""
    last: list[Tensor] = []

    def take(rows: Tensor) -> Tensor:
        if not last or last[0] is not rows:
            last[:] = [rows, table[rows]]
        return last[1]

    return take
