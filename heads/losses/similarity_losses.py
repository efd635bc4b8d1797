"""Losses of similarities. All take, for S seeds and A anchors a seed,

    positive (S, A, P)   similarity of each anchor to its positives
    negative (S, A, N)   similarity of each anchor to its negatives
    valid    (S, A, N)   False where a column is no negative of that anchor (itself, or of the same group)

and return (S,): one loss a seed, so that S heads train in one pass without seeing each other.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

NONE = -1e30  # the logarithm of nothing. Minus infinity would turn the gradient of an empty sum into NaN.


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over all but the seed axis, of the valid entries; 0 where there is none. (S, ...) -> (S,)"""
    valid = valid.expand_as(values)
    total = torch.where(valid, values, 0.0).flatten(1).sum(1)
    return total / valid.flatten(1).sum(1).clamp(min=1)


def masked_logsumexp(values: Tensor, valid: Tensor, dim: int) -> Tensor:
    """log of the sum of exp over the valid entries of `dim`, which goes; about -1e30 where there is none."""
    return torch.where(valid, values, NONE).logsumexp(dim)


def to_distance(similarity: Tensor, distance: str) -> Tensor:
    """The distance that a similarity stands for: 1 - cos, or d of the -d or -d^2 that a Euclidean head gives."""
    match distance:
        case "cosine":
            return 1 - similarity
        case "euclidean":
            return -similarity
        case _:
            return (-similarity + 1e-12).sqrt()


def contrastive(
    positive: Tensor,
    negative: Tensor,
    valid: Tensor,
    *,
    margin: float,
    distance: str,
    margin_on: str = "distance",
    every_negative: bool = False,
) -> Tensor:
    """d^2 for positives, `push_apart` for negatives (Hadsell et al. 2006, eq. 4; reports 2 and 5).

    The negatives' mean is over those inside the margin: with hundreds of them a batch, nearly all are far, and a
    plain mean would let the few that matter fade. With `every_negative` it is the plain mean, so that the loss is what
    the reports minimise: that of balanced pairs. Positives and negatives weigh the same.
    """
    pull = to_distance(positive, distance).square().flatten(1).mean(1)
    push = push_apart(to_distance(negative, distance), margin=margin, margin_on=margin_on)
    return pull + masked_mean(push, valid if every_negative else valid & (push > 0))


def push_apart(d: Tensor, *, margin: float, margin_on: str) -> Tensor:
    """A negative's term at distance d: max(margin - d, 0)^2, the margin on the `distance` (Hadsell et al. 2006, eq. 4;
    reports 2 and 5), or max(margin - d^2, 0), the margin on its square (`squared`).
    """
    return relu(margin - d.square()) if margin_on == "squared" else relu(margin - d).square()


def contrastive_of_pairs(
    d: Tensor,
    *,
    margin: float,
    margin_on: str = "distance",
    same: Tensor | None = None,
    different: Tensor | None = None,
) -> Tensor:
    """The contrastive term of each labelled pair, as reports write it: distances d and labels of one shape.

    Give the labels by the name of what 1 (or True) means, for the two spellings look alike:
        different   (1 - y) d^2 + y max(margin - d, 0)^2, report 2 (margin 5)
        same        y d^2 + (1 - y) max(margin - d, 0)^2, report 5

    Raises:
        TypeError: not exactly one of `same` and `different`.
    """
    if (same is None) == (different is None):
        raise TypeError("give the labels once: same=... or different=...")
    alike = same.bool() if same is not None else ~different.bool()
    return torch.where(alike, d.square(), push_apart(d, margin=margin, margin_on=margin_on))


def triplet(positive: Tensor, negative: Tensor, valid: Tensor, *, margin: float) -> Tensor:
    """max(d_ap - d_an + margin, 0) over all triplets (Schroff et al. 2015, eq. 3), as similarities: a cosine
    (reports 3 and 4) or a negated (squared) distance (report 5). The mean is over the active triplets (Hermans et
    al. 2017, section 2): satisfied ones would only shrink the step.
    """
    terms = relu(negative.unsqueeze(2) - positive.unsqueeze(3) + margin)  # (S, A, P, N)
    return masked_mean(terms, valid.unsqueeze(2) & (terms > 0))


def infonce(positive: Tensor, negative: Tensor, valid: Tensor, *, scale: Tensor) -> Tensor:
    """-log(exp(c s_ap) / (exp(c s_ap) + sum_n exp(c s_an))), the mean over anchors and their positives (van den Oord
    et al. 2018, eq. 4), with c = 1 / temperature, scale (S,). Where groups are pairs the lists hold both directions,
    rows and columns, as in CLIP (Radford et al. 2021, figure 3).
    """
    scale = scale.view(-1, 1, 1)
    against = masked_logsumexp(scale * negative, valid, 2).unsqueeze(2)  # (S, A, 1)
    return softplus(against - scale * positive).flatten(1).mean(1)


def bce(positive: Tensor, negative: Tensor, valid: Tensor) -> Tensor:
    """Binary cross entropy of logits (reports 1, 3 and 5): softplus(-l) for positives, softplus(l) for negatives.

    Balanced: half of the mean over positives and half of the mean over negatives, as if pairs were drawn half and
    half. So a logit of 0 means even odds, however many negatives a batch holds.
    """
    return 0.5 * (softplus(-positive).flatten(1).mean(1) + masked_mean(softplus(negative), valid))


def angular(positive: Tensor, negative: Tensor, valid: Tensor, *, between: Tensor, alpha: float) -> Tensor:
    """log(1 + sum_n exp(f_apn)), f = 4 tan^2(alpha) (x_a + x_p)'x_n - 2 (1 + tan^2(alpha)) x_a'x_p, the mean over
    anchors and their positives (Wang, Zhou, Wen, Liu and Lin 2017: eq. 4, smooth and over a batch). Similarities are
    cosines, alpha is in degrees, and between (S, A, P, N) holds x_p'x_n.
    """
    tan2 = math.tan(math.radians(alpha)) ** 2
    terms = 4 * tan2 * (negative.unsqueeze(2) + between) - 2 * (1 + tan2) * positive.unsqueeze(3)
    return softplus(masked_logsumexp(terms, valid.unsqueeze(2), 3)).flatten(1).mean(1)
