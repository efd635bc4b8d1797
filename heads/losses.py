"""Losses of similarities. All take, for S seeds and A anchors a seed,

    positive (S, A, P)   similarity of each anchor to its positives
    negative (S, A, N)   similarity of each anchor to its negatives
    valid    (S, A, N)   False where a column is no negative of that anchor (itself, or of the same group)

and return (S,): one loss a seed, so that S heads train in one pass without seeing each other.
"""

import torch
from torch import Tensor
from torch.nn.functional import relu


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over all but the seed axis, of the valid entries; 0 where there is none. (S, ...) -> (S,)"""
    valid = valid.expand_as(values)
    total = torch.where(valid, values, 0.0).flatten(1).sum(1)
    return total / valid.flatten(1).sum(1).clamp(min=1)


def to_distance(similarity: Tensor, distance: str) -> Tensor:
    """The distance that a similarity stands for: 1 - cos, or d of the -d or -d^2 that a Euclidean head gives."""
    match distance:
        case "cosine":
            return 1 - similarity
        case "euclidean":
            return -similarity
        case _:
            return (-similarity + 1e-12).sqrt()


def contrastive(positive: Tensor, negative: Tensor, valid: Tensor, *, margin: float, distance: str) -> Tensor:
    """d^2 for positives, max(margin - d, 0)^2 for negatives (Hadsell et al. 2006, eq. 4; reports 2 and 5).

    The negatives' mean is over those inside the margin: with hundreds of them a batch, nearly all are far, and a
    plain mean would let the few that matter fade. Positives and negatives weigh the same.
    """
    pull = to_distance(positive, distance).square().flatten(1).mean(1)
    push = relu(margin - to_distance(negative, distance)).square()
    return pull + masked_mean(push, valid & (push > 0))


def triplet(positive: Tensor, negative: Tensor, valid: Tensor, *, margin: float) -> Tensor:
    """max(d_ap - d_an + margin, 0) over all triplets (Schroff et al. 2015, eq. 3), as similarities: a cosine
    (reports 3 and 4) or a negated (squared) distance (report 5). The mean is over the active triplets (Hermans et
    al. 2017, section 2): satisfied ones would only shrink the step.
    """
    terms = relu(negative.unsqueeze(2) - positive.unsqueeze(3) + margin)  # (S, A, P, N)
    return masked_mean(terms, valid.unsqueeze(2) & (terms > 0))


# What `head.loss` names. Each takes the lists and the settings it needs from them.
LOSSES = {
    "contrastive": lambda p, n, valid, head: contrastive(p, n, valid, margin=head.loss_margin, distance=head.distance),
    "triplet": lambda p, n, valid, head: triplet(p, n, valid, margin=head.loss_margin),
}
