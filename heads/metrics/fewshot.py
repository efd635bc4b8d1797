"""K-way N-shot accuracy: which of K groups does a query belong to, given N images of each?"""

import numpy as np
import torch
from numpy.typing import ArrayLike

from heads.errors import HeadError
from heads.metrics.pairs import NOT_FINITE
from heads.metrics.ranking import TIE
from heads.similarity import Similarity


def episode_accuracy(
    similarity: Similarity, supports: ArrayLike, *, queries: ArrayLike, truth: ArrayLike
) -> np.ndarray:
    """(E,) share of an episode's queries whose group has the highest mean similarity; tied groups share the point.

    Args:
        supports: (E, K, N) rows, N of each of K groups.
        queries: (E, M) rows. truth: (E, M) which of the K groups each belongs to.

    Raises:
        HeadError: a similarity is not finite.
    """
    supports, queries, truth = (np.asarray(array, np.int64) for array in (supports, queries, truth))
    episodes, ways, shots = supports.shape
    votes = np.empty((episodes, queries.shape[1], ways))
    for votes_of_one, support, query in zip(votes, supports, queries, strict=True):
        # One matrix product per episode: all its pairs row by row, of all episodes, gather gigabytes with many ways.
        scores = _block(similarity, query, support.ravel())
        votes_of_one[:] = scores.reshape(-1, ways, shots).mean(2)
    most = votes.max(2, keepdims=True)
    best = votes >= most - TIE * np.abs(most)
    correct = np.take_along_axis(best, truth[:, :, None], axis=2)[:, :, 0]
    return (correct / best.sum(2)).mean(1)


@torch.no_grad()
def _block(similarity: Similarity, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    scores = similarity.block(torch.from_numpy(queries), torch.from_numpy(gallery)).cpu().numpy().astype(np.float64)
    if not np.isfinite(scores).all():
        raise HeadError(NOT_FINITE)
    return scores
