"""Losses against training groups, against loops and torch."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, normalize, one_hot

from heads.losses.proxy_losses import cross_entropy, membership_cross_entropy

IMAGES, GROUPS = 6, 4
LABELS = torch.tensor([0, 0, 1, 2, 2, 2])  # no image of the last group


def similarities() -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    x, proxies = (normalize(torch.randn(n, 5, generator=rng, dtype=torch.float64), dim=1) for n in (IMAGES, GROUPS))
    return x @ proxies.T


def test_cross_entropy_equals_loop():
    similarity, terms = similarities(), []
    for image in range(IMAGES):
        odds = [math.exp(value / 0.1) for value in similarity[image].tolist()]
        terms.append(-math.log(odds[LABELS[image]] / sum(odds)))
    assert cross_entropy(similarity, LABELS, temperature=0.1).item() == pytest.approx(sum(terms) / IMAGES)


def test_membership_cross_entropy_equals_loop_and_torch():
    similarity, loop = similarities(), 0.0
    ours = membership_cross_entropy(torch.sigmoid(3 * similarity).sqrt(), LABELS)
    for image in range(IMAGES):
        for group in range(GROUPS):
            m = 1 / (1 + math.exp(-3 * similarity[image, group].item()))
            loop -= math.log(m if group == LABELS[image] else 1 - m) / IMAGES
    target = one_hot(LABELS, GROUPS).double()
    theirs = binary_cross_entropy_with_logits(3 * similarity, target, reduction="sum") / IMAGES
    assert ours.item() == pytest.approx(loop) == pytest.approx(theirs.item())


LOSSES = {
    "cross_entropy": lambda v, labels: cross_entropy(v, labels, temperature=0.3),
    "membership_cross_entropy": lambda v, labels: membership_cross_entropy(torch.sigmoid(v).sqrt(), labels),
}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradients_are_the_numerical_ones(name):
    assert torch.autograd.gradcheck(lambda v: LOSSES[name](v, LABELS), similarities().requires_grad_())


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_one_group_and_two_images_are_finite_with_finite_gradients(name):
    similarity = torch.ones(2, 1, requires_grad=True)
    loss = LOSSES[name](similarity, torch.zeros(2, dtype=torch.int64))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(similarity.grad).all()
