"""K-way N-shot accuracy: which of K groups does a query belong to, given N images of each?"""

import numpy as np
from numpy.typing import ArrayLike

from heads.metrics.pairs import pair_similarities
from heads.metrics.ranking import TIE
from heads.similarity import Similarity


def episode_accuracy(
    similarity: Similarity, supports: ArrayLike, *, queries: ArrayLike, truth: ArrayLike
) -> np.ndarray:
    """(E,) share of an episode's queries whose group has the highest mean similarity; tied groups share the point.

    Args:
        supports: (E, K, N) rows, N of each of K groups.
        queries: (E, M) rows. truth: (E, M) which of the K groups each belongs to.
    """
    supports, queries, truth = (np.asarray(array, np.int64) for array in (supports, queries, truth))
    episodes, ways, shots = supports.shape
    shape = (episodes, queries.shape[1], ways, shots)
    left = np.broadcast_to(queries[:, :, None, None], shape)
    right = np.broadcast_to(supports[:, None], shape)
    scores = pair_similarities(similarity, left.ravel(), right.ravel()).astype(np.float64)
    votes = scores.reshape(shape).mean(3)
    most = votes.max(2, keepdims=True)
    best = votes >= most - TIE * np.abs(most)
    correct = np.take_along_axis(best, truth[:, :, None], axis=2)[:, :, 0]
    return (correct / best.sum(2)).mean(1)
