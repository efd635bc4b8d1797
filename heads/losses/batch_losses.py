"""Losses that see all of a batch's positives at once. They take, for S seeds and A anchors a seed,

    similarity (S, A, L)   of each anchor to the images it is compared with
    same       (S, A, L)   True where an image is of the anchor's group, and not the anchor itself
    other      (S, A, L)   True where an image is a negative of the anchor

and return (S,). A column that is neither (the anchor itself, a negative not mined) counts for nothing.
"""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from heads.losses.similarity_losses import masked_logsumexp, masked_mean


def supcon(similarity: Tensor, same: Tensor, other: Tensor, *, temperature: float) -> Tensor:
    """-1/|P(a)| sum_{p in P(a)} log(exp(s_ap / t) / sum_{i in same or other} exp(s_ai / t)), L_out of Khosla et al.
    2020, eq. 2; the mean over anchors that have a positive.
    """
    logits = similarity / temperature
    log_odds = logits - masked_logsumexp(logits, same | other, 2).unsqueeze(2)
    count = same.sum(2)
    each = -torch.where(same, log_odds, 0.0).sum(2) / count.clamp(min=1)
    return masked_mean(each, count > 0)


def multi_similarity(
    similarity: Tensor, same: Tensor, other: Tensor, *, alpha: float, beta: float, base: float, epsilon: float
) -> Tensor:
    """1/alpha log(1 + sum_p exp(-alpha (s_ap - base))) + 1/beta log(1 + sum_n exp(beta (s_an - base))), the mean over
    anchors (Wang, Han, Huang, Dong and Scott 2019, section 4.2), over the pairs that its mining keeps: negatives more
    alike than the least alike positive less epsilon, positives less alike than the most alike negative plus epsilon.
    An anchor without a positive, or without a negative, has no pairs.
    """
    with torch.no_grad():
        least = torch.where(same, similarity, torch.inf).amin(2, keepdim=True)
        most = torch.where(other, similarity, -torch.inf).amax(2, keepdim=True)
        pull = same & (similarity < most + epsilon)
        push = other & (similarity > least - epsilon)
    near = softplus(masked_logsumexp(-alpha * (similarity - base), pull, 2)) / alpha
    far = softplus(masked_logsumexp(beta * (similarity - base), push, 2)) / beta
    return (near + far).mean(1)
