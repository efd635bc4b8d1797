"""Losses of the similarities within a batch. All take

    similarity (A, L)   of A anchors to the L images that each is compared with; higher is more similar
    positives (A, L)    True where an image is a positive of the anchor
    negatives (A, L)    True where an image is a negative of the anchor

and return a scalar. An entry that is neither (the anchor itself, a negative that was not mined) is ignored. Anchors
without positives or without negatives are allowed and add nothing to the loss.
"""

from torch import Tensor
from torch.nn.functional import relu, softplus

from heads.losses.masked import masked_logsumexp, masked_mean


def contrastive(
    similarity: Tensor,
    positives: Tensor,
    negatives: Tensor,
    *,
    margin: float,
    distance: str,
    margin_on: str = "distance",
    every_negative: bool = False,
) -> Tensor:
    """Mean of d^2 over positives plus the mean of max(margin - d, 0)^2 over negatives (Hadsell et al. 2006, eq. 4).

    Args:
        distance: what a similarity stands for, see `to_distance`.
        margin_on: `distance` or `squared`, see `push_apart`.
        every_negative: the mean over all negatives, which is the loss of balanced pairs that the MNIST plane and
            Omniglot reports minimise. Otherwise over those inside the margin: with hundreds of negatives per batch
            nearly all are outside, and a mean over all would make the gradient of the others small.
    """
    d = to_distance(similarity, distance)
    apart = push_apart(d, margin=margin, margin_on=margin_on)
    return masked_mean(d.square(), positives) + masked_mean(
        apart, negatives if every_negative else negatives & (apart > 0)
    )


def push_apart(d: Tensor, *, margin: float, margin_on: str) -> Tensor:
    """The term of a negative at distance d: max(margin - d, 0)^2, or max(margin - d^2, 0) where `margin_on` is
    `squared`.
    """
    return relu(margin - d.square()) if margin_on == "squared" else relu(margin - d).square()


def to_distance(similarity: Tensor, distance: str) -> Tensor:
    """The distance that a similarity stands for: 1 - cos, or d of the -d or -d^2 that a Euclidean head gives."""
    match distance:
        case "cosine":
            return 1 - similarity
        case "euclidean":
            return -similarity
        case _:
            return (-similarity + 1e-12).sqrt()


def triplet(similarity: Tensor, positives: Tensor, negatives: Tensor, *, margin: float) -> Tensor:
    """max(s_an - s_ap + margin, 0) over all triplets of the batch (Schroff et al. 2015, eq. 3), of similarities:
    cosines or negated (squared) distances. The mean is over the active triplets (Hermans et al. 2017, section 2):
    satisfied ones would only shrink the step.
    """
    anchor, of_positive = positive_pairs(similarity, positives)
    terms = relu(similarity.index_select(0, anchor) - of_positive.unsqueeze(1) + margin)  # (positives, L)
    return masked_mean(terms, negatives[anchor] & (terms > 0))


def infonce(similarity: Tensor, positives: Tensor, negatives: Tensor, *, scale: Tensor | float) -> Tensor:
    """-log(exp(c s_ap) / (exp(c s_ap) + sum_n exp(c s_an))), the mean over all positives (van den Oord et al. 2018,
    eq. 4), with c = `scale` = 1 / temperature. Where groups are pairs the anchors are queries and gallery images, so
    the loss has both directions, rows and columns, as in CLIP (Radford et al. 2021, figure 3).
    """
    anchor, of_positive = positive_pairs(similarity, positives)
    against = masked_logsumexp(scale * similarity, negatives, 1)
    return softplus(against[anchor] - scale * of_positive).sum() / max(1, len(anchor))


def supcon(similarity: Tensor, positives: Tensor, negatives: Tensor, *, temperature: float) -> Tensor:
    """-1/|P(a)| sum_{p in P(a)} log(exp(s_ap / t) / sum_{i in P(a) or N(a)} exp(s_ai / t)), L_out of Khosla et al.
    2020, eq. 2; the mean over anchors that have a positive.
    """
    logits = similarity / temperature
    log_odds = logits - masked_logsumexp(logits, positives | negatives, 1).unsqueeze(1)
    weight = positives / positives.sum(1, keepdim=True).clamp(min=1)
    return -(weight * log_odds).sum() / positives.any(1).sum().clamp(min=1)


def bce(similarity: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """Binary cross entropy of logits: softplus(-l) for positives, softplus(l) for negatives.

    Balanced: half of the mean over positives and half of the mean over negatives, as if half of
    the pairs were positives. So a logit of 0 means even odds for any number of negatives in a batch.
    """
    return 0.5 * (masked_mean(softplus(-similarity), positives) + masked_mean(softplus(similarity), negatives))


def positive_pairs(similarity: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
    """The rows (P,) and the similarities (P,) of the entries of `similarity` (A, L) that are positives."""
    anchor, column = positives.nonzero(as_tuple=True)
    return anchor, similarity[anchor, column]
