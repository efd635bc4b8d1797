"""Sparse k-reciprocal encoding against the paper's steps with sets and dense vectors."""

import numpy as np
import pytest
import torch

from heads.errors import HeadError
from heads.metrics.ranking import rank_queries
from heads.metrics.retrieval import retrieval
from heads.reranking.k_reciprocal import k_reciprocal
from heads.similarity import embedding_similarity

LABELS = np.repeat(np.arange(6), 10)
POINTS = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))[LABELS] + 0.7 * torch.randn(
    60, 5, generator=torch.Generator().manual_seed(1)
)


def by_loop(scores, k1, k2, original):
    """All rows against all, (N, N)."""
    size = len(scores)
    own = scores.diagonal()
    distance = (own[:, None] - scores) / (own - scores.min(1))[:, None]
    order = np.array([[i, *(j for j in np.argsort(-scores[i], kind="stable") if j != i)] for i in range(size)])

    def reciprocal(i, k):
        return {j for j in order[i, : k + 1] if i in order[j, : k + 1]}

    encoding = np.zeros((size, size))
    for i in range(size):
        expanded = set(reciprocal(i, k1))
        for c in reciprocal(i, k1):
            half = reciprocal(c, round(k1 / 2))
            if len(half & reciprocal(i, k1)) > 2 / 3 * len(half):
                expanded |= half
        weights = {j: np.exp(-distance[i, j]) for j in expanded}
        for j, weight in weights.items():
            encoding[i, j] = weight / sum(weights.values())
    encoding = np.stack([encoding[order[i, :k2]].mean(0) for i in range(size)])
    jaccard = np.array([[1 - np.minimum(a, b).sum() / np.maximum(a, b).sum() for b in encoding] for a in encoding])
    return -((1 - original) * jaccard + original * distance)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("block", [1, 500, 2**20])
@pytest.mark.parametrize(("k1", "k2", "original"), [(8, 3, 0.3), (20, 1, 0.0)])
def test_equals_a_loop(k1, k2, original, block, distance):
    similarity = embedding_similarity(POINTS, distance)
    rows = torch.arange(60)
    expected = by_loop(similarity.block(rows, rows).double().numpy(), k1, k2, original)
    found = k_reciprocal(similarity, queries=rows[:20], gallery=rows[20:], k1=k1, k2=k2, original=original, block=block)
    np.testing.assert_allclose(found.block(rows[:20], rows[20:]), expected[:20, 20:], atol=1e-5)
    np.testing.assert_allclose(found.pairs(rows[:5], rows[25:30]), expected[range(5), range(25, 30)], atol=1e-5)
    same = k_reciprocal(similarity, queries=rows, gallery=rows, k1=k1, k2=k2, original=original)
    np.testing.assert_allclose(same.block(rows, rows), expected, atol=1e-5)


def test_raises_the_precision_of_classes():
    rows = np.arange(60)
    similarity = embedding_similarity(POINTS)
    corrected = k_reciprocal(similarity, queries=rows, gallery=rows, k1=8, k2=3)
    before, after = (
        retrieval(rank_queries(each, LABELS, queries=rows, gallery=rows), ks=(1,)).map_at_r.mean()
        for each in (similarity, corrected)
    )
    assert after > before + 0.03


def test_bad_input():
    with pytest.raises(HeadError, match="20 rows in all are too few"):
        k_reciprocal(embedding_similarity(POINTS), queries=range(10), gallery=range(10, 20))
    with pytest.raises(HeadError, match="not finite"):
        k_reciprocal(embedding_similarity(torch.full((30, 2), torch.nan)), queries=range(10), gallery=range(10, 30))
