"""Triplet accuracy: is the positive nearer to the anchor than the negative?"""

import numpy as np
from numpy.typing import ArrayLike

from heads.metrics.pairs import pair_similarities
from heads.metrics.ranking import TIE
from heads.similarity import Similarity


def triplet_hits(
    similarity: Similarity, anchors: ArrayLike, *, positives: ArrayLike, negatives: ArrayLike
) -> np.ndarray:
    """(T,) 1 where the positive is nearer, 0 where the negative is, 1/2 where they tie; chance is 1/2.

    `anchors`, `positives`, `negatives`: (T,) rows.
    """
    positive = pair_similarities(similarity, anchors, positives).astype(np.float64)
    lead = positive - pair_similarities(similarity, anchors, negatives)
    return np.where(np.abs(lead) <= TIE * np.abs(positive), 0.5, (lead > 0).astype(np.float64))
