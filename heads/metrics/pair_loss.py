"""The contrastive loss of listed pairs: the test loss of the MNIST plane report."""

import numpy as np
import torch

from heads.losses.similarity_losses import push_apart, to_distance
from heads.metrics.pairs import PairScores
from heads.settings import Objective


def pair_loss(pairs: PairScores, settings: Objective, *, cosine: bool) -> np.ndarray:
    """(P,) terms of Hadsell et al. (2006, eq. 4), positives first: d^2 of a positive, `push_apart` of a negative.

    The mean is over all listed pairs, half of them positives, not over those inside the margin as in training.
    d is 1 - cosine, or else the Euclidean distance, whose negation is the similarity of every Euclidean head.
    """
    positives, negatives = (
        to_distance(torch.from_numpy(scores), "cosine" if cosine else "euclidean")
        for scores in (pairs.positives, pairs.negatives)
    )
    push = push_apart(negatives, margin=settings.loss_margin, margin_on=settings.margin_on)
    return torch.cat([positives.square(), push]).numpy()
