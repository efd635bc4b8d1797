"""The contrastive loss of listed pairs: report 2's test loss."""

import numpy as np
import torch

from heads.losses.similarity_losses import push_apart, to_distance
from heads.metrics.pairs import PairScores
from heads.settings import Objective


def pair_loss(pairs: PairScores, settings: Objective, *, cosine: bool) -> np.ndarray:
    """(P,) each pair's term, matches first: d^2 of a match, `push_apart` of a non-match (Hadsell et al. 2006, eq. 4).

    The mean is over pairs as they are listed, half of them matches, not over those inside the margin as in training.
    d is 1 - cosine, or else the Euclidean distance, whose negation is the similarity of every Euclidean head.
    """
    matches, others = (
        to_distance(torch.from_numpy(scores), "cosine" if cosine else "euclidean")
        for scores in (pairs.matches, pairs.others)
    )
    push = push_apart(others, margin=settings.loss_margin, margin_on=settings.margin_on)
    return torch.cat([matches.square(), push]).numpy()
