"""Losses against one learned vector a training group, its proxy. They take, for S seeds, B images and C groups,

    similarity (S, B, C)   of each image to each proxy
    labels     (S, B)      the group of each image, 0 to C - 1

and return (S,).
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from heads.losses.similarity_losses import masked_logsumexp, masked_mean


def cross_entropy(similarity: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """-log softmax(s / temperature) at the image's group, the mean over images. Of cosines it is the normalised softmax
    (Wang, Xiang, Cheng and Yuille 2017, NormFace; Zhai and Wu 2019); of negated squared distances a linear
    classifier whose biases follow from its weights (Snell et al. 2017, eq. 8).
    """
    logits = similarity / temperature
    own = logits.gather(2, labels.unsqueeze(2)).squeeze(2)
    return (logits.logsumexp(2) - own).mean(1)


def membership_cross_entropy(roots: Tensor, labels: Tensor) -> Tensor:
    """-log m at the image's group and -log(1 - m) at each of the others, the mean over images of their sum, from the
    roots sqrt(m) (S, B, C) that a `membership` head gives.
    """
    own = one_hot(labels, roots.shape[2]).bool()
    # The bounds are where float32 ends: a wrong membership of 1 - 1e-7 is as far as the loss sees.
    inside, outside = 2 * roots.clamp(min=1e-38).log(), torch.log1p(-roots.square().clamp(max=1 - 1e-7))
    return -torch.where(own, inside, outside).sum(2).mean(1)


def proxy_anchor(similarity: Tensor, labels: Tensor, *, margin: float, alpha: float) -> Tensor:
    """Kim, Kim, Cho and Kwak 2020, eq. 4, of cosines s(x, p):

    1/|P+| sum_{p in P+} log(1 + sum_{x of p} exp(-alpha (s - margin)))
    + 1/|P| sum_{p in P} log(1 + sum_{x not of p} exp(alpha (s + margin))),

    where P are all proxies and P+ those with an image in the batch.
    """
    own = one_hot(labels, similarity.shape[2]).bool()
    near = softplus(masked_logsumexp(-alpha * (similarity - margin), own, 1))  # (S, C)
    far = softplus(masked_logsumexp(alpha * (similarity + margin), ~own, 1))
    return masked_mean(near, own.any(1)) + far.mean(1)
