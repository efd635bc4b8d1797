"""Triplet accuracy: is the positive nearer to the anchor than the negative?"""

import numpy as np
from numpy.typing import ArrayLike

from heads.metrics.pairs import similarities_of
from heads.metrics.ranking import TIE
from heads.similarity import Similarity


def triplet_hits(
    similarity: Similarity, anchors: ArrayLike, *, positives: ArrayLike, negatives: ArrayLike
) -> np.ndarray:
    """(T,) 1 where the positive is nearer, 0 where the negative is, a half where they are level; chance is a half."""
    near = similarities_of(similarity, anchors, positives).astype(np.float64)
    ahead = near - similarities_of(similarity, anchors, negatives)
    return np.where(np.abs(ahead) <= TIE * np.abs(near), 0.5, (ahead > 0).astype(np.float64))
