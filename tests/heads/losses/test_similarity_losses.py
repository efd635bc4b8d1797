"""Losses of similarities against plain loops over pairs and triplets, in float64."""

import math

import pytest
import torch

from heads.losses.similarity_losses import (
    angular,
    bce,
    contrastive,
    contrastive_of_pairs,
    infonce,
    to_distance,
    triplet,
)

SEEDS, ANCHORS, POSITIVES, NEGATIVES = 2, 5, 3, 7


def random_lists(low: float = -1.0, high: float = 1.0):
    draw = torch.Generator().manual_seed(0)
    positive = torch.rand(SEEDS, ANCHORS, POSITIVES, generator=draw, dtype=torch.float64) * (high - low) + low
    negative = torch.rand(SEEDS, ANCHORS, NEGATIVES, generator=draw, dtype=torch.float64) * (high - low) + low
    valid = torch.rand(SEEDS, ANCHORS, NEGATIVES, generator=draw) > 0.3
    return positive, negative, valid


def between_of(seeds: int = SEEDS):
    draw = torch.Generator().manual_seed(1)
    return (torch.rand(SEEDS, ANCHORS, POSITIVES, NEGATIVES, generator=draw, dtype=torch.float64) * 2 - 1)[:seeds]


LISTS = {
    "contrastive": lambda p, n, v: contrastive(p, n, v, margin=0.7, distance="cosine"),
    "contrastive_squared": lambda p, n, v: contrastive(p, n, v, margin=0.7, distance="cosine", margin_on="squared"),
    "triplet": lambda p, n, v: triplet(p, n, v, margin=0.3),
    "infonce": lambda p, n, v: infonce(p, n, v, scale=torch.full((len(p),), 5.0, dtype=p.dtype)),
    "bce": bce,
    "angular": lambda p, n, v: angular(p, n, v, between=between_of(len(p)), alpha=40.0),
}


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


def each_positive(positive, negative, valid, term):
    """Mean over anchors and positives of term(s, a, p, valid negatives' columns)."""
    losses = []
    for s in range(len(positive)):
        columns = [torch.nonzero(valid[s, a]).flatten().tolist() for a in range(positive.shape[1])]
        terms = [term(s, a, p, columns[a]) for a in range(positive.shape[1]) for p in range(positive.shape[2])]
        losses.append(sum(terms) / len(terms))
    return torch.tensor(losses, dtype=torch.float64)


def test_infonce_equals_loop_with_a_temperature_a_seed():
    positive, negative, valid = random_lists()
    scale = torch.tensor([3.0, 12.0], dtype=torch.float64)

    def term(s, a, p, columns):
        own = math.exp(scale[s] * positive[s, a, p])
        return -math.log(own / (own + sum(math.exp(scale[s] * negative[s, a, n]) for n in columns)))

    ours = infonce(positive, negative, valid, scale=scale)
    torch.testing.assert_close(ours, each_positive(positive, negative, valid, term))


def test_infonce_of_pairs_is_cross_entropy_of_rows_and_of_columns():
    """As CLIP's pseudo-code has it: (S, M, M) similarities of left to right, in the lists of `in_batch_lists`."""
    forth = torch.randn(1, 6, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    positive = forth.diagonal(dim1=1, dim2=2).repeat(1, 2).unsqueeze(2)
    other = ~torch.eye(6, dtype=torch.bool).expand(1, 6, 6)
    ours = infonce(positive, torch.cat([forth, forth.mT], 1), torch.cat([other, other], 1), scale=torch.tensor([4.0]))
    rows, columns = (torch.nn.functional.cross_entropy(4 * m, torch.arange(6)) for m in (forth[0], forth[0].T))
    torch.testing.assert_close(ours[0], (rows + columns) / 2)


@pytest.mark.parametrize("alpha", [36.0, 45.0])
def test_angular_equals_loop(alpha):
    positive, negative, valid = random_lists()
    between, tan2 = between_of(), math.tan(math.radians(alpha)) ** 2

    def term(s, a, p, columns):
        f = [4 * tan2 * (negative[s, a, n] + between[s, a, p, n]) - 2 * (1 + tan2) * positive[s, a, p] for n in columns]
        return math.log(1 + sum(math.exp(value) for value in f))

    ours = angular(positive, negative, valid, between=between, alpha=alpha)
    torch.testing.assert_close(ours, each_positive(positive, negative, valid, term))


def test_bce_equals_loop_and_weighs_both_kinds_alike():
    positive, negative, valid = random_lists(-4.0, 4.0)
    losses = []
    for s in range(SEEDS):
        near = [-math.log(1 / (1 + math.exp(-v))) for v in positive[s].flatten().tolist()]
        far = [-math.log(1 - 1 / (1 + math.exp(-v))) for v in negative[s][valid[s]].tolist()]
        losses.append(0.5 * sum(near) / len(near) + 0.5 * sum(far) / len(far))
    torch.testing.assert_close(bce(positive, negative, valid), torch.tensor(losses, dtype=torch.float64))


def test_contrastive_of_pairs_is_what_the_reports_write():
    d, y = torch.tensor([0.5, 2.0, 6.0, 3.0]), torch.tensor([0, 0, 1, 1])
    report_2 = (1 - y) * d**2 + y * (5 - d).clamp(min=0) ** 2  # y = 1: different
    torch.testing.assert_close(contrastive_of_pairs(d, margin=5.0, different=y), report_2)
    report_5 = y * d**2 + (1 - y) * (5 - d).clamp(min=0) ** 2  # y = 1: same
    torch.testing.assert_close(contrastive_of_pairs(d, margin=5.0, same=y), report_5)
    squared = (1 - y) * d**2 + y * (5 - d**2).clamp(min=0)
    torch.testing.assert_close(contrastive_of_pairs(d, margin=5.0, different=y, margin_on="squared"), squared)
    for labels in ({}, {"same": y, "different": 1 - y}):
        with pytest.raises(TypeError, match="give the labels once"):
            contrastive_of_pairs(d, margin=5.0, **labels)


def test_contrastive_on_the_square_equals_loop():
    positive, negative, valid = random_lists()
    ours = contrastive(positive, negative, valid, margin=0.7, distance="cosine", margin_on="squared")
    for s in range(SEEDS):
        terms = [max(0.7 - (1 - v) ** 2, 0) for v in negative[s][valid[s]].tolist()]
        active = [term for term in terms if term > 0]
        torch.testing.assert_close(ours[s], (1 - positive[s]).square().mean() + sum(active) / len(active))


@pytest.mark.parametrize("name", sorted(LISTS))
def test_gradients_are_the_numerical_ones(name):
    positive, negative, valid = random_lists()
    inputs = (positive.requires_grad_(), negative.requires_grad_())
    assert torch.autograd.gradcheck(lambda p, n: LISTS[name](p, n, valid), inputs)


@pytest.mark.parametrize("name", sorted(LISTS))
def test_no_valid_negative_and_hard_numbers_are_finite_with_finite_gradients(name):
    for low, high in ((-1.0, 1.0), (0.999999, 1.0)):
        positive, negative, valid = random_lists(low, high)
        for part in (valid, torch.zeros_like(valid)):
            loss = LISTS[name](positive.requires_grad_(), negative.requires_grad_(), part)
            gradients = torch.autograd.grad(loss.sum(), (positive, negative))
            assert torch.isfinite(loss).all() and all(torch.isfinite(g).all() for g in gradients)


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


def test_contrastive_over_every_negative_is_the_loss_of_balanced_pairs():
    positive, negative = -torch.tensor([[[1.0], [2.0]]]), -torch.tensor([[[4.0, 9.0], [3.0, 6.0]]])
    valid = torch.tensor([[[True, True], [True, False]]])
    every = contrastive(positive, negative, valid, margin=5.0, distance="euclidean", every_negative=True)
    pull, push = (1 + 4) / 2, (1 + 0 + 4) / 3
    torch.testing.assert_close(every, torch.tensor([pull + push]))
    inside = contrastive(positive, negative, valid, margin=5.0, distance="euclidean")
    torch.testing.assert_close(inside, torch.tensor([pull + (1 + 4) / 2]))
