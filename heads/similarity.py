"""The similarity of two rows as scores use it: for every head a function of row numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

Distance = Literal["cosine", "euclidean"]
SAME_POINT = 2e-14  # of a squared norm: squared distances up to it are rounding of float32 coordinates
TILE = 2**17  # distances computed at a time: 1 MB of float64 stays in the cache


@dataclass(frozen=True)
class Similarity:
    """Two views of one function; higher is more similar. Only its order is comparable between heads.

    `block(q, g)`: rows (Q,) and (G,) int64 -> (Q, G) float32, every query against every gallery row.
    `pairs(a, b)`: rows (P,) and (P,) int64 -> (P,) float32, row by row.
    """

    block: Callable[[Tensor, Tensor], Tensor]
    pairs: Callable[[Tensor, Tensor], Tensor]


def embedding_similarity(embeddings: Tensor, distance: Distance = "cosine") -> Similarity:
    """Cosine, or the negated Euclidean distance, of the rows of `embeddings` (N, E)."""
    if distance == "cosine":
        unit = normalize(embeddings.float(), dim=1)
        gallery = _last_selection(unit)
        return Similarity(
            block=lambda q, g: unit[q] @ gallery(g).T,
            pairs=lambda a, b: (unit[a] * unit[b]).sum(1),
        )
    points = embeddings.double()
    gallery = _last_selection(points)
    return Similarity(
        block=lambda q, g: -euclidean_matrix(points[q], gallery(g)),
        pairs=lambda a, b: -euclidean_pairs(points[a], points[b]),
    )


def euclidean_matrix(left: Tensor, right: Tensor) -> Tensor:
    """(..., A, E) and (..., B, E) -> (..., A, B) float32 Euclidean distances.

    |a|^2 + |b|^2 - 2ab as one matrix product in float64: in float32 it loses all digits where norms are large beside
    distances. What is below the resolution of float32 coordinates is 0, so copies have distance 0.
    """
    if left.ndim > 2:
        return torch.stack([euclidean_matrix(*both) for both in zip(left, right, strict=True)])
    left, right = left.double(), right.double()
    of_left, of_right = left.square().sum(1, keepdim=True), right.square().sum(1, keepdim=True)
    augmented = torch.cat([-2 * left, of_left, torch.ones_like(of_left)], 1)
    columns = torch.cat([right, torch.ones_like(of_right), of_right], 1).T
    distances = torch.empty(len(left), len(right), device=left.device)
    rows = max(1, TILE // max(1, len(right)))
    for part, out, norms in zip(augmented.split(rows), distances.split(rows), of_left.split(rows), strict=True):
        out.copy_(_root(part @ columns, norms))
    return distances


def euclidean_pairs(left: Tensor, right: Tensor) -> Tensor:
    """(..., E) and (..., E) -> (...,) float32 Euclidean distances, row by row: the same numbers as in the matrix."""
    left, right = left.double(), right.double()
    return _root((left - right).square().sum(-1), left.square().sum(-1)).float()


def _root(squared: Tensor, norms: Tensor) -> Tensor:
    """Square roots of `squared`, of points whose squared norms are about `norms`."""
    return squared.masked_fill_(squared <= SAME_POINT * norms, 0).sqrt_()


def _last_selection(table: Tensor) -> Callable[[Tensor], Tensor]:
    """`table[rows]`, kept while `rows` are the same, as they are for the gallery of a ranking's blocks."""
    last: list[Tensor] = []

    def select(rows: Tensor) -> Tensor:
        if not last or not torch.equal(last[0], rows):
            last[:] = [rows, table[rows]]
        return last[1]

    return select
