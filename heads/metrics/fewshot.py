"""K-way N-shot: which of K groups does a query belong to, given N images of each? Many episodes, one number each."""

import numpy as np
from numpy.typing import ArrayLike

from heads.metrics.pairs import similarities_of
from heads.metrics.ranking import TIE
from heads.similarity import Similarity


def episode_accuracy(
    similarity: Similarity, supports: ArrayLike, *, queries: ArrayLike, truth: ArrayLike
) -> np.ndarray:
    """(E,) share of an episode's queries whose group has the highest mean similarity; ties share the point.

    Args:
        supports: (E, K, N) rows, N of each of K groups.
        queries: (E, M) rows. truth: (E, M) which of the K groups each belongs to.
    """
    supports, queries, truth = (np.asarray(array, np.int64) for array in (supports, queries, truth))
    episodes, ways, shots = supports.shape
    asked = queries.shape[1]
    left = np.broadcast_to(queries[:, :, None, None], (episodes, asked, ways, shots))
    right = np.broadcast_to(supports[:, None], (episodes, asked, ways, shots))
    scores = similarities_of(similarity, left.ravel(), right.ravel()).astype(np.float64)
    votes = scores.reshape(episodes, asked, ways, shots).mean(3)
    most = votes.max(2, keepdims=True)
    best = votes >= most - TIE * np.abs(most)
    right_one = np.take_along_axis(best, truth[:, :, None], axis=2)[:, :, 0]
    return (right_one / best.sum(2)).mean(1)
