"""Losses against proxies, against loops and pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning import losses as library
from torch.nn.functional import binary_cross_entropy_with_logits, normalize, one_hot

from heads.losses.proxy_losses import cross_entropy, membership_cross_entropy, proxy_anchor

SEEDS, IMAGES, GROUPS = 2, 6, 4
LABELS = torch.tensor([[0, 0, 1, 2, 2, 2], [3, 1, 1, 1, 0, 0]])  # no seed's batch shows every group


def world():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(SEEDS, IMAGES, 5, generator=draw, dtype=torch.float64)
    proxies = torch.randn(SEEDS, GROUPS, 5, generator=draw, dtype=torch.float64)
    return x, proxies, torch.bmm(normalize(x, dim=2), normalize(proxies, dim=2).mT)


def loop_cross_entropy(similarity, temperature):
    losses = []
    for s in range(SEEDS):
        terms = []
        for b in range(IMAGES):
            odds = [math.exp(v / temperature) for v in similarity[s, b].tolist()]
            terms.append(-math.log(odds[LABELS[s, b]] / sum(odds)))
        losses.append(sum(terms) / len(terms))
    return torch.tensor(losses, dtype=torch.float64)


def loop_proxy_anchor(similarity, margin, alpha):
    losses = []
    for s in range(SEEDS):
        near, far = [], []
        for c in range(GROUPS):
            own = [similarity[s, b, c].item() for b in range(IMAGES) if LABELS[s, b] == c]
            rest = [similarity[s, b, c].item() for b in range(IMAGES) if LABELS[s, b] != c]
            if own:
                near.append(math.log(1 + sum(math.exp(-alpha * (v - margin)) for v in own)))
            far.append(math.log(1 + sum(math.exp(alpha * (v + margin)) for v in rest)))
        losses.append(sum(near) / len(near) + sum(far) / GROUPS)
    return torch.tensor(losses, dtype=torch.float64)


def test_cross_entropy_equals_loop():
    _, _, similarity = world()
    ours = cross_entropy(similarity, LABELS, temperature=0.1)
    torch.testing.assert_close(ours, loop_cross_entropy(similarity, 0.1))


def test_membership_cross_entropy_equals_loop_and_torch():
    _, _, similarity = world()
    ours = membership_cross_entropy(torch.sigmoid(3 * similarity).sqrt(), LABELS)
    for s in range(SEEDS):
        loop = 0.0
        for b in range(IMAGES):
            for c in range(GROUPS):
                m = 1 / (1 + math.exp(-3 * similarity[s, b, c].item()))
                loop -= math.log(m if c == LABELS[s, b] else 1 - m) / IMAGES
        target = one_hot(LABELS[s], GROUPS).double()
        theirs = binary_cross_entropy_with_logits(3 * similarity[s], target, reduction="sum") / IMAGES
        assert ours[s].item() == pytest.approx(loop) == pytest.approx(theirs.item())


def test_proxy_anchor_equals_loop_and_library():
    x, proxies, similarity = world()
    ours = proxy_anchor(similarity, LABELS, margin=0.1, alpha=32.0)
    torch.testing.assert_close(ours, loop_proxy_anchor(similarity, 0.1, 32.0))
    for s in range(SEEDS):
        theirs = library.ProxyAnchorLoss(GROUPS, 5, margin=0.1, alpha=32)
        theirs.proxies.data = proxies[s]
        torch.testing.assert_close(ours[s], theirs(x[s], LABELS[s]))


LOSSES = {
    "cross_entropy": lambda v, labels: cross_entropy(v, labels, temperature=0.3),
    "membership_cross_entropy": lambda v, labels: membership_cross_entropy(torch.sigmoid(v).sqrt(), labels),
    "proxy_anchor": lambda v, labels: proxy_anchor(v, labels, margin=0.1, alpha=8.0),
}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradients_are_the_numerical_ones(name):
    _, _, similarity = world()
    assert torch.autograd.gradcheck(lambda v: LOSSES[name](v, LABELS), similarity.requires_grad_())


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_one_group_and_two_images_are_finite_with_finite_gradients(name):
    similarity = torch.ones(1, 2, 1, requires_grad=True)
    loss = LOSSES[name](similarity, torch.zeros(1, 2, dtype=torch.int64))
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(similarity.grad).all()
