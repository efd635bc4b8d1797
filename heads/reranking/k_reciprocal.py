"""k-reciprocal encoding: the similarity of two rows is the overlap of their mutual neighbourhoods."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from torch import Tensor

from heads.errors import HeadError
from heads.metrics.pairs import pair_similarities
from heads.metrics.ranking import BLOCK, NOT_FINITE
from heads.similarity import Similarity

K1, K2, ORIGINAL = 20, 6, 0.3  # the paper's


@torch.no_grad()
def k_reciprocal(
    similarity: Similarity,
    *,
    queries: ArrayLike,
    gallery: ArrayLike,
    k1: int = K1,
    k2: int = K2,
    original: float = ORIGINAL,
    block: int = BLOCK,
) -> Similarity:
    """Minus the Jaccard distance of k-reciprocal neighbourhoods, mixed with `original` parts of the distance itself.

    Zhong et al., "Re-ranking person re-identification with k-reciprocal encoding" (2017), eq. 1 to 12, for any
    symmetric similarity: d(i, j) = (s(i, i) - s(i, j)) / (s(i, i) - min_j s(i, j)), in 0..1. Transductive: queries and
    gallery are neighbours of each other. It raises MAP where a query has several positives. Neighbourhoods are sparse;
    memory is bounded by `block` similarities and some k1 * k2 numbers per row.

    Args:
        queries, gallery: (Q,) and (G,) rows; the result is defined for these.
        k1: size of a neighbourhood. k2: neighbours whose neighbourhoods are averaged. original: lambda of eq. 12.

    Raises:
        HeadError: no more than `k1` rows in all, or a similarity that is not finite.
    """
    rows = np.union1d(np.asarray(queries, np.int64), np.asarray(gallery, np.int64))
    if len(rows) <= k1:
        raise HeadError(f"k_reciprocal compares neighbourhoods of {k1} rows: {len(rows)} rows in all are too few")
    nearest, own, low = _neighbours(similarity, rows, k1, block)
    scale = np.maximum(own - low, 1e-12)
    encoding = _encode(similarity, rows, nearest, own=own, scale=scale, k1=k1)
    by_row = sparse.csr_array(_adjacency(nearest, k2) @ encoding / k2)
    by_column = sparse.csc_array(by_row)
    place = np.full(rows.max() + 1, -1)
    place[rows] = np.arange(len(rows))

    def block_of(q: Tensor, g: Tensor) -> Tensor:
        left, right = place[q.numpy()], place[g.numpy()]
        scores = similarity.block(q, g).cpu().numpy()
        distance = (own[left][:, None] - scores) / scale[left][:, None]
        jaccard = np.stack([_jaccard(by_row, by_column, row)[right] for row in left]) if len(left) else distance
        return torch.from_numpy(-((1 - original) * jaccard + original * distance).astype(np.float32))

    def pairs_of(a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([block_of(a[i : i + 1], b[i : i + 1])[0] for i in range(len(a))])

    return Similarity(block=block_of, pairs=pairs_of)


def _neighbours(
    similarity: Similarity, rows: NDArray[np.int64], k: int, block: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """(N, k + 1) places of the nearest rows, the row itself first; (N,) similarity to itself; (N,) the lowest."""
    every = torch.from_numpy(rows)
    nearest, own, low = [], [], []
    for place in torch.arange(len(rows)).split(max(1, block // len(rows))):
        scores = similarity.block(every[place], every).float().cpu()
        if not torch.isfinite(scores.sum()):
            raise HeadError(NOT_FINITE)
        own.append(scores.gather(1, place[:, None])[:, 0])
        low.append(scores.min(1).values)
        scores = scores.scatter(1, place[:, None], torch.inf)  # a copy may be as near as the row itself
        nearest.append(scores.topk(k + 1, dim=1).indices)
    return torch.cat(nearest).numpy(), torch.cat(own).numpy(), torch.cat(low).numpy()


def _adjacency(nearest: NDArray[np.int64], k: int) -> sparse.csr_array:
    """(N, N) 1 where a column is among the first `k` places of a row."""
    size = len(nearest)
    places = nearest[:, :k]
    ones = np.ones(places.size)
    return sparse.csr_array((ones, places.ravel(), np.arange(0, places.size + 1, places.shape[1])), (size, size))


def _encode(
    similarity: Similarity,
    rows: NDArray[np.int64],
    nearest: NDArray[np.int64],
    *,
    own: NDArray[np.float32],
    scale: NDArray[np.float32],
    k1: int,
) -> sparse.csr_array:
    """(N, N) exp(-d) on the expanded reciprocal neighbourhood of each row, rows of sum 1 (eq. 2, 3 and 7)."""
    reciprocal, half = (_reciprocal(nearest, k) for k in (k1, round(k1 / 2)))
    overlap = (reciprocal @ half.T).multiply(reciprocal).tocoo()  # |R(i, k1) and R(c, k1 / 2)|, for c in R(i, k1)
    enough = overlap.data > 2 / 3 * half.sum(1)[overlap.col]
    joined = sparse.csr_array((np.ones(enough.sum()), (overlap.row[enough], overlap.col[enough])), reciprocal.shape)
    expanded = (reciprocal + joined @ half).tocoo()
    i, j = expanded.row, expanded.col
    distance = (own[i] - pair_similarities(similarity, rows[i], rows[j])) / scale[i]
    encoding = sparse.csr_array((np.exp(-distance.astype(np.float64)), (i, j)), expanded.shape)
    return sparse.csr_array(sparse.diags_array(1 / encoding.sum(1)) @ encoding)


def _reciprocal(nearest: NDArray[np.int64], k: int) -> sparse.csr_array:
    """(N, N) 1 where both rows are among the other's k nearest (eq. 1); a row is its own neighbour."""
    adjacency = _adjacency(nearest, k + 1)
    return sparse.csr_array(adjacency.multiply(adjacency.T))


def _jaccard(by_row: sparse.csr_array, by_column: sparse.csc_array, row: int) -> NDArray[np.float64]:
    """(N,) distances 1 - sum min / sum max of one encoding to all; both sum to 1 (eq. 10)."""
    start, end = by_row.indptr[row], by_row.indptr[row + 1]
    columns = by_column[:, by_row.indices[start:end]]
    values = np.repeat(by_row.data[start:end], np.diff(columns.indptr))
    overlap = np.bincount(columns.indices, np.minimum(columns.data, values), len(by_row.indptr) - 1)
    return 1 - overlap / (2 - overlap)
