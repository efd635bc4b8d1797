"""Triplet accuracy: is the positive nearer to the anchor than the negative?"""

import numpy as np
import torch
from numpy.typing import ArrayLike

from heads.similarity import Similarity


@torch.no_grad()
def triplet_hits(
    similarity: Similarity, anchors: ArrayLike, *, positives: ArrayLike, negatives: ArrayLike
) -> np.ndarray:
    """(T,) 1 where the positive is nearer, 0 where the negative is, a half where they are level; chance is a half."""
    anchors, positives, negatives = (
        torch.from_numpy(np.asarray(rows, np.int64)) for rows in (anchors, positives, negatives)
    )
    ahead = similarity.pairs(anchors, positives) - similarity.pairs(anchors, negatives)
    return ((torch.sign(ahead) + 1) / 2).double().cpu().numpy()
