"""supcon and multi_similarity against loops, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning import losses as library
from pytorch_metric_learning import miners
from torch.nn.functional import normalize

from heads.losses.batch_losses import multi_similarity, supcon

SEEDS, IMAGES = 2, 8
GROUP = torch.tensor([0, 0, 0, 1, 1, 2, 2, 3])  # the last image has no positive
MS = {"alpha": 2.0, "beta": 50.0, "base": 0.5, "epsilon": 0.1}


def world(dtype=torch.float64):
    x = torch.randn(SEEDS, IMAGES, 5, generator=torch.Generator().manual_seed(0), dtype=dtype)
    x = normalize(x, dim=2)
    same = (GROUP[:, None] == GROUP) & ~torch.eye(IMAGES, dtype=torch.bool)
    other = GROUP[:, None] != GROUP
    return x, torch.bmm(x, x.mT), same.expand(SEEDS, -1, -1), other.expand(SEEDS, -1, -1)


def loop_supcon(similarity, same, other, temperature):
    losses = []
    for s in range(SEEDS):
        terms = []
        for a in range(IMAGES):
            positives = torch.nonzero(same[s, a]).flatten().tolist()
            everyone = positives + torch.nonzero(other[s, a]).flatten().tolist()
            total = sum(math.exp(similarity[s, a, i] / temperature) for i in everyone)
            logs = [math.log(math.exp(similarity[s, a, p] / temperature) / total) for p in positives]
            if positives:
                terms.append(-sum(logs) / len(positives))
        losses.append(sum(terms) / len(terms))
    return torch.tensor(losses, dtype=torch.float64)


def loop_multi_similarity(similarity, same, other, alpha, beta, base, epsilon):
    losses = []
    for s in range(SEEDS):
        total = 0.0
        for a in range(IMAGES):
            positives, negatives = similarity[s, a][same[s, a]].tolist(), similarity[s, a][other[s, a]].tolist()
            pull = [v for v in positives if negatives and v < max(negatives) + epsilon]
            push = [v for v in negatives if positives and v > min(positives) - epsilon]
            total += math.log(1 + sum(math.exp(-alpha * (v - base)) for v in pull)) / alpha
            total += math.log(1 + sum(math.exp(beta * (v - base)) for v in push)) / beta
        losses.append(total / IMAGES)
    return torch.tensor(losses, dtype=torch.float64)


def test_supcon_equals_loop_and_library():
    x, similarity, same, other = world()
    ours = supcon(similarity, same, other, temperature=0.1)
    torch.testing.assert_close(ours, loop_supcon(similarity, same, other, 0.1))
    for s in range(SEEDS):
        torch.testing.assert_close(ours[s], library.SupConLoss(temperature=0.1)(x[s], GROUP))


def test_multi_similarity_equals_loop_and_library():
    x, similarity, same, other = world()
    ours = multi_similarity(similarity, same, other, **MS)
    torch.testing.assert_close(ours, loop_multi_similarity(similarity, same, other, **MS))
    for s in range(SEEDS):
        mined = miners.MultiSimilarityMiner(epsilon=0.1)(x[s], GROUP)
        theirs = library.MultiSimilarityLoss(alpha=2, beta=50, base=0.5)(x[s], GROUP, mined)
        torch.testing.assert_close(ours[s], theirs)


LOSSES = {
    "supcon": lambda v, same, other: supcon(v, same, other, temperature=0.2),
    "multi_similarity": lambda v, same, other: multi_similarity(v, same, other, **MS),
}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradients_are_the_numerical_ones(name):
    _, similarity, same, other = world()
    assert torch.autograd.gradcheck(lambda v: LOSSES[name](v, same, other), similarity.requires_grad_())


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("missing", ["positives", "negatives", "both"])
def test_empty_lists_are_finite_with_finite_gradients(name, missing):
    _, similarity, same, other = world()
    same = torch.zeros_like(same) if missing != "negatives" else same
    other = torch.zeros_like(other) if missing != "positives" else other
    loss = LOSSES[name](similarity.requires_grad_(), same, other)
    (gradient,) = torch.autograd.grad(loss.sum(), similarity)
    assert torch.isfinite(loss).all() and torch.isfinite(gradient).all()
    if name == "multi_similarity" or missing != "negatives":
        assert loss.tolist() == [0, 0]
