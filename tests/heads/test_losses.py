"""Every loss against a plain loop over pairs and triplets, in float64."""

import pytest
import torch

from heads.losses import LOSSES, contrastive, to_distance, triplet
from heads.settings import HeadSettings

SEEDS, ANCHORS, POSITIVES, NEGATIVES = 2, 5, 3, 7


def random_lists(low: float = -1.0, high: float = 1.0):
    draw = torch.Generator().manual_seed(0)
    positive = torch.rand(SEEDS, ANCHORS, POSITIVES, generator=draw, dtype=torch.float64) * (high - low) + low
    negative = torch.rand(SEEDS, ANCHORS, NEGATIVES, generator=draw, dtype=torch.float64) * (high - low) + low
    valid = torch.rand(SEEDS, ANCHORS, NEGATIVES, generator=draw) > 0.3
    return positive, negative, valid


def loop_contrastive(positive, negative, valid, margin, distance_of):
    losses = []
    for s in range(len(positive)):
        pulls = [distance_of(v) ** 2 for v in positive[s].flatten().tolist()]
        pushes = []
        for value, counts in zip(negative[s].flatten().tolist(), valid[s].flatten().tolist(), strict=True):
            term = max(margin - distance_of(value), 0) ** 2
            if counts and term > 0:
                pushes.append(term)
        losses.append(sum(pulls) / len(pulls) + (sum(pushes) / len(pushes) if pushes else 0))
    return torch.tensor(losses, dtype=torch.float64)


def loop_triplet(positive, negative, valid, margin):
    losses = []
    for s in range(len(positive)):
        terms = []
        for a in range(positive.shape[1]):
            for p in range(positive.shape[2]):
                for n in range(negative.shape[2]):
                    term = max(negative[s, a, n].item() - positive[s, a, p].item() + margin, 0)
                    if valid[s, a, n] and term > 0:
                        terms.append(term)
        losses.append(sum(terms) / len(terms) if terms else 0)
    return torch.tensor(losses, dtype=torch.float64)


@pytest.mark.parametrize(
    "distance, low, high, distance_of",
    [
        ("cosine", -1.0, 1.0, lambda s: 1 - s),
        ("euclidean", -6.0, 0.0, lambda s: -s),
        ("squared_euclidean", -36.0, 0.0, lambda s: (-s) ** 0.5),
    ],
)
def test_contrastive_equals_loop(distance, low, high, distance_of):
    positive, negative, valid = random_lists(low, high)
    ours = contrastive(positive, negative, valid, margin=1.5, distance=distance)
    torch.testing.assert_close(ours, loop_contrastive(positive, negative, valid, 1.5, distance_of))


@pytest.mark.parametrize("margin", [0.1, 0.3, 2.5])
def test_triplet_equals_loop(margin):
    positive, negative, valid = random_lists()
    ours = triplet(positive, negative, valid, margin=margin)
    torch.testing.assert_close(ours, loop_triplet(positive, negative, valid, margin))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradients_are_the_numerical_ones(name):
    positive, negative, valid = random_lists()
    settings = HeadSettings(features="x", loss=name, margin=0.7)
    inputs = (positive.requires_grad_(), negative.requires_grad_())
    assert torch.autograd.gradcheck(lambda p, n: LOSSES[name](p, n, valid, settings), inputs)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_one_seed_does_not_see_another(name):
    positive, negative, valid = random_lists()
    settings = HeadSettings(features="x", loss=name)
    together = LOSSES[name](positive, negative, valid, settings)
    for s in range(SEEDS):
        alone = LOSSES[name](positive[s : s + 1], negative[s : s + 1], valid[s : s + 1], settings)
        torch.testing.assert_close(alone[0], together[s])


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_no_valid_negative_is_a_number_with_a_gradient(name):
    positive, negative, valid = random_lists()
    positive.requires_grad_()
    loss = LOSSES[name](positive, negative, torch.zeros_like(valid), HeadSettings(features="x", loss=name))
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(positive.grad).all()


def test_no_active_triplet_is_zero():
    positive = torch.ones(1, 2, 1, requires_grad=True)
    negative = -torch.ones(1, 2, 3)
    loss = triplet(positive, negative, torch.ones(1, 2, 3, dtype=torch.bool), margin=0.2)
    loss.sum().backward()
    assert loss.item() == 0 and positive.grad.abs().sum() == 0


def test_squared_distance_of_equal_rows_has_a_finite_gradient():
    similarity = torch.zeros(1, 1, 1, requires_grad=True)
    to_distance(similarity, "squared_euclidean").sum().backward()
    assert torch.isfinite(similarity.grad).all()
