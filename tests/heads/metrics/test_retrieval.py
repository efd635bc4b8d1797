"""Whole-gallery scores against pytorch-metric-learning and scikit-learn, and with ties against every order."""

from itertools import permutations

import numpy as np
import pytest
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from sklearn.metrics import average_precision_score

from heads.errors import HeadError
from heads.metrics import retrieval as retrieval_module
from heads.metrics.ranking import rank_queries
from heads.metrics.retrieval import retrieval
from heads.similarity import Similarity


def table(scores) -> Similarity:
    scores = torch.as_tensor(scores, dtype=torch.float32)
    return Similarity(block=lambda q, g: scores[q][:, g], pairs=lambda a, b: scores[a, b])


def slow(relevant, r):
    """The scores of one ordered list of match / no match."""
    found = np.cumsum(relevant)
    precision = found / np.arange(1, len(relevant) + 1) * relevant
    return {
        "recall": {k: float(any(relevant[:k])) for k in (1, 3)},
        "reciprocal_rank": 1 / (1 + int(np.argmax(relevant))),
        "average_precision": precision.sum() / r,
        "map_at_r": precision[:r].sum() / r,
        "r_precision": relevant[:r].sum() / r,
    }


NAMES = ("reciprocal_rank", "average_precision", "map_at_r", "r_precision")


@pytest.mark.parametrize("places", [1, 2**21], ids=["level-by-level", "together"])
@pytest.mark.parametrize("seed", range(12))
def test_ties_are_the_mean_over_every_order(seed, places, monkeypatch):
    monkeypatch.setattr(retrieval_module, "MAX_PLACES", places)
    rng = np.random.default_rng(seed)
    labels = np.array([0, *rng.permutation([0, 0, 0, 1, 1, 1])])[: 7 - seed % 2]
    row = rng.integers(1 + seed % 4, size=7) / 2
    scores = np.zeros((7, 7))
    scores[0] = row
    gallery = np.arange(1, len(labels))

    got = retrieval(rank_queries(table(scores), labels, queries=[0], gallery=gallery), ks=(1, 3))

    # every order of the gallery, sorted stably by similarity: all orders within a level are equally likely
    orders = [sorted(order, key=lambda g: -row[g]) for order in permutations(gallery)]
    r = int((labels[1:] == 0).sum())
    each = [slow((labels[order] == 0).astype(int), r) for order in orders]
    for name in NAMES:
        assert getattr(got, name)[0] == pytest.approx(np.mean([one[name] for one in each]), abs=1e-9), name
    for k in (1, 3):
        assert got.recall[k][0] == pytest.approx(np.mean([one["recall"][k] for one in each]), abs=1e-9)


def test_equals_pytorch_metric_learning_and_sklearn():
    rng = np.random.default_rng(0)
    labels = rng.integers(9, size=120)
    scores = rng.permutation(120 * 120).reshape(120, 120)  # no ties: those libraries break them by order

    def knn(query, k, reference=None, ref_includes_query=False):
        order = np.argsort(-scores[query.squeeze(1).int()], axis=1)
        rows = np.stack([[g for g in row if g != q] for q, row in enumerate(order)])
        return torch.zeros(len(query), k), torch.from_numpy(rows[:, :k])

    calculator = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r", "mean_reciprocal_rank"),
        k="max_bin_count",
        knn_func=knn,
        device=torch.device("cpu"),
    )
    theirs = calculator.get_accuracy(torch.arange(120.0)[:, None], torch.from_numpy(labels))
    ranks = rank_queries(table(scores), labels, queries=np.arange(120), gallery=np.arange(120))
    ours = retrieval(ranks, ks=(1, 20))
    assert ours.recall[1].mean() == pytest.approx(theirs["precision_at_1"], abs=1e-6)
    assert ours.r_precision.mean() == pytest.approx(theirs["r_precision"], abs=1e-6)
    assert ours.map_at_r.mean() == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-6)
    assert theirs["mean_reciprocal_rank"] == pytest.approx(
        # theirs looks no further than the largest group
        np.where(1 / ours.reciprocal_rank <= np.bincount(labels).max() - 1, ours.reciprocal_rank, 0).mean(),
        abs=1e-6,
    )
    for q in range(120):
        others = np.arange(120) != q
        expected = average_precision_score(labels[others] == labels[q], scores[q, others])
        assert ours.average_precision[q] == pytest.approx(expected, abs=1e-9)


def test_constant_similarity_is_chance():
    ranks = rank_queries(table(np.ones((60, 60))), np.arange(60) % 30, queries=range(30), gallery=range(30, 60))
    scores = retrieval(ranks, ks=(1, 5, 30))
    np.testing.assert_allclose(scores.recall[1], 1 / 30)
    np.testing.assert_allclose(scores.recall[5], 5 / 30)
    np.testing.assert_allclose(scores.recall[30], 1)
    np.testing.assert_allclose(scores.reciprocal_rank, (1 / np.arange(1, 31)).mean())
    np.testing.assert_allclose(scores.map_at_r, 1 / 30)


def test_k_larger_than_the_gallery():
    ranks = rank_queries(table(np.ones((6, 6))), np.arange(6) % 3, queries=range(3), gallery=range(3, 6))
    with pytest.raises(HeadError) as error:
        retrieval(ranks, ks=(1, 5))
    assert "recall at 5" in str(error.value) and "1..3" in str(error.value)
