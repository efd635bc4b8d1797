"""Losses that compare images with the training groups. They take a value for each of B images and C groups, and labels
(B,), the group of each image from 0 to C - 1, and return a scalar.
"""

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import one_hot


def cross_entropy(similarity: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """-log softmax(s / temperature) at the image's group, from the similarity (B, C) of each image to one learned
    vector per group, its proxy. Of cosines it is the normalised softmax (Wang et al. 2017, NormFace; Zhai and Wu
    2019); of negated squared distances a linear classifier whose biases follow from its weights (Snell et al.
    2017, eq. 8).
    """
    return functional.cross_entropy(similarity / temperature, labels)


def membership_cross_entropy(sqrt_membership: Tensor, labels: Tensor) -> Tensor:
    """-log m at the image's group and -log(1 - m) at each of the others, summed; the mean over images. From the square
    roots sqrt(m) (B, C) that a `membership` head gives.
    """
    own = one_hot(labels, sqrt_membership.shape[1]).bool()
    # The bounds are where float32 ends: a wrong membership of 1 - 1e-7 is the largest that the loss distinguishes.
    inside = 2 * sqrt_membership.clamp(min=1e-38).log()
    outside = torch.log1p(-sqrt_membership.square().clamp(max=1 - 1e-7))
    return -torch.where(own, inside, outside).sum(1).mean()
