"""Losses of similarities against plain loops over pairs and triplets, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning import losses as library
from torch.nn.functional import normalize

from heads.losses.similarity_losses import bce, contrastive, infonce, push_apart, supcon, to_distance, triplet

IMAGES = 9
GROUP = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3])  # the last image has no positive


def masks() -> tuple[torch.Tensor, torch.Tensor]:
    """Positives are all other images of the group, negatives about two thirds of the images of other groups."""
    same = GROUP[:, None] == GROUP
    mined = torch.rand(IMAGES, IMAGES, generator=torch.Generator().manual_seed(3)) > 0.3
    return same & ~torch.eye(IMAGES, dtype=torch.bool), ~same & mined


def similarities(low: float = -1.0, high: float = 1.0) -> torch.Tensor:
    drawn = torch.rand(IMAGES, IMAGES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return drawn * (high - low) + low


def values(similarity: torch.Tensor, mask: torch.Tensor, anchor: int) -> list[float]:
    return similarity[anchor][mask[anchor]].tolist()


LOSSES = {
    "contrastive": lambda s, p, n: contrastive(s, p, n, margin=0.7, distance="cosine"),
    "contrastive_squared": lambda s, p, n: contrastive(s, p, n, margin=0.7, distance="cosine", margin_on="squared"),
    "triplet": lambda s, p, n: triplet(s, p, n, margin=0.3),
    "infonce": lambda s, p, n: infonce(s, p, n, scale=torch.tensor(5.0, dtype=s.dtype)),
    "supcon": lambda s, p, n: supcon(s, p, n, temperature=0.2),
    "bce": bce,
}


@pytest.mark.parametrize("margin_on", ["distance", "squared"])
@pytest.mark.parametrize("every_negative", [True, False])
@pytest.mark.parametrize(
    "distance, low, high, distance_of",
    [
        ("cosine", -1.0, 1.0, lambda s: 1 - s),
        ("euclidean", -6.0, 0.0, lambda s: -s),
        ("squared_euclidean", -36.0, 0.0, lambda s: (-s) ** 0.5),
    ],
)
def test_contrastive_equals_loop(distance, low, high, distance_of, every_negative, margin_on):
    similarity, (positives, negatives) = similarities(low, high), masks()
    pulls, pushes = [], []
    for a in range(IMAGES):
        pulls += [distance_of(value) ** 2 for value in values(similarity, positives, a)]
        for value in values(similarity, negatives, a):
            d = distance_of(value)
            pushes.append(max(1.5 - d**2, 0) if margin_on == "squared" else max(1.5 - d, 0) ** 2)
    pushes = [term for term in pushes if term > 0 or every_negative]
    ours = contrastive(
        *(similarity, positives, negatives),
        margin=1.5,
        distance=distance,
        margin_on=margin_on,
        every_negative=every_negative,
    )
    assert ours.item() == pytest.approx(sum(pulls) / len(pulls) + sum(pushes) / len(pushes))


def test_contrastive_over_every_negative_is_the_loss_of_balanced_pairs():
    """(1 - y) d^2 + y max(5 - d, 0)^2, half of the pairs of each kind, as the MNIST plane report writes it."""
    d = torch.tensor([[1.0, 2.0, 4.0, 9.0], [3.0, 6.0, 2.0, 2.0]])
    positives = torch.tensor([[True, True, False, False], [False] * 4])
    negatives = torch.tensor([[False, False, True, True], [True, True, False, False]])
    ours = contrastive(-d, positives, negatives, margin=5.0, distance="euclidean", every_negative=True)
    assert ours.item() == pytest.approx((1 + 4) / 2 + (1 + 0 + 4 + 0) / 4)


@pytest.mark.parametrize("margin_on, expected", [("distance", [4.0, 0.25, 0.0]), ("squared", [2.25, 0.0, 0.0])])
def test_push_apart(margin_on, expected):
    assert push_apart(torch.tensor([0.5, 2.0, 3.0]), margin=2.5, margin_on=margin_on).tolist() == expected


@pytest.mark.parametrize("margin", [0.1, 0.3, 2.5])
def test_triplet_equals_loop(margin):
    similarity, (positives, negatives) = similarities(), masks()
    terms = [
        negative - positive + margin
        for a in range(IMAGES)
        for positive in values(similarity, positives, a)
        for negative in values(similarity, negatives, a)
    ]
    active = [term for term in terms if term > 0]
    assert triplet(similarity, positives, negatives, margin=margin).item() == pytest.approx(sum(active) / len(active))


def test_infonce_equals_loop():
    similarity, (positives, negatives) = similarities(), masks()
    terms = []
    for a in range(IMAGES):
        others = sum(math.exp(7 * value) for value in values(similarity, negatives, a))
        odds = [math.exp(7 * value) for value in values(similarity, positives, a)]
        terms += [-math.log(own / (own + others)) for own in odds]
    ours = infonce(similarity, positives, negatives, scale=torch.tensor(7.0, dtype=torch.float64))
    assert ours.item() == pytest.approx(sum(terms) / len(terms))


def test_infonce_of_pairs_is_cross_entropy_of_rows_and_of_columns():
    """As CLIP's pseudo-code has it: (M, M) similarities of left to right, and of right to left."""
    forth = torch.randn(6, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    partner = torch.eye(6, dtype=torch.bool).repeat(2, 1)
    ours = infonce(torch.cat([forth, forth.T]), partner, ~partner, scale=4.0)
    rows, columns = (torch.nn.functional.cross_entropy(4 * m, torch.arange(6)) for m in (forth, forth.T))
    torch.testing.assert_close(ours, (rows + columns) / 2)


def test_supcon_equals_loop_and_library():
    x = torch.randn(IMAGES, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    similarity = normalize(x, dim=1) @ normalize(x, dim=1).T
    positives = masks()[0]
    negatives = GROUP[:, None] != GROUP
    terms = []
    for a in range(IMAGES):
        odds = [math.exp(value / 0.1) for value in values(similarity, positives, a)]
        total = sum(odds) + sum(math.exp(value / 0.1) for value in values(similarity, negatives, a))
        if odds:
            terms.append(-sum(math.log(own / total) for own in odds) / len(odds))
    ours = supcon(similarity, positives, negatives, temperature=0.1)
    assert ours.item() == pytest.approx(sum(terms) / len(terms))
    torch.testing.assert_close(ours, library.SupConLoss(temperature=0.1)(x, GROUP))


def test_bce_equals_loop_and_weighs_both_kinds_alike():
    similarity, (positives, negatives) = similarities(-4.0, 4.0), masks()
    near = [-math.log(1 / (1 + math.exp(-v))) for a in range(IMAGES) for v in values(similarity, positives, a)]
    far = [-math.log(1 - 1 / (1 + math.exp(-v))) for a in range(IMAGES) for v in values(similarity, negatives, a)]
    expected = 0.5 * sum(near) / len(near) + 0.5 * sum(far) / len(far)
    assert bce(similarity, positives, negatives).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradients_are_the_numerical_ones(name):
    similarity, (positives, negatives) = similarities(), masks()
    assert torch.autograd.gradcheck(lambda s: LOSSES[name](s, positives, negatives), similarity.requires_grad_())


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("empty", ["none", "positives", "negatives", "both"])
@pytest.mark.parametrize("low", [-1.0, 0.999999])
def test_empty_masks_and_equal_images_are_finite_with_finite_gradients(name, empty, low):
    similarity, (positives, negatives) = similarities(low, 1.0), masks()
    positives = positives & (empty not in ("positives", "both"))
    negatives = negatives & (empty not in ("negatives", "both"))
    loss = LOSSES[name](similarity.requires_grad_(), positives, negatives)
    (gradient,) = torch.autograd.grad(loss, similarity)
    assert torch.isfinite(loss) and torch.isfinite(gradient).all()
    if empty == "both":
        assert loss.item() == 0


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_columns_of_neither_kind_count_for_nothing(name):
    similarity, (positives, negatives) = similarities(), masks()
    other = torch.where(positives | negatives, similarity, 17.0)
    torch.testing.assert_close(
        LOSSES[name](other, positives, negatives), LOSSES[name](similarity, positives, negatives)
    )


def test_no_active_triplet_is_zero():
    similarity = torch.tensor([[1.0, -1.0, -1.0]] * 2, requires_grad=True)
    positives = torch.tensor([[True, False, False]] * 2)
    loss = triplet(similarity, positives, ~positives, margin=0.2)
    loss.backward()
    assert loss.item() == 0 and similarity.grad.abs().sum() == 0


def test_squared_distance_of_equal_rows_has_a_finite_gradient():
    similarity = torch.zeros(1, requires_grad=True)
    to_distance(similarity, "squared_euclidean").sum().backward()
    assert torch.isfinite(similarity.grad).all()
