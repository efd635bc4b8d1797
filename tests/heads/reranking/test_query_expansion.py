"""Expanded queries against embeddings that are expanded one by one."""

import numpy as np
import pytest
import torch

from heads.errors import HeadError
from heads.reranking.query_expansion import query_expansion
from heads.similarity import embedding_similarity

POINTS = torch.nn.functional.normalize(torch.randn(30, 4, generator=torch.Generator().manual_seed(0)) + 0.5, dim=1)


def by_loop(queries, gallery, k, alpha):
    points = POINTS.numpy()
    expanded = []
    for q in queries:
        near = sorted((g for g in gallery if g != q), key=lambda g: -(points[q] @ points[g]))[:k]
        weights = [max(0, points[q] @ points[n]) ** alpha for n in near]
        total = points[q] + sum(w * points[n] for w, n in zip(weights, near, strict=True))
        expanded.append(total / (1 + sum(weights)))
    return np.stack(expanded) @ points[gallery].T


@pytest.mark.parametrize("block", [1, 200, 2**20])
@pytest.mark.parametrize(("k", "alpha"), [(1, 1.0), (4, 3.0)])
@pytest.mark.parametrize("gallery", [range(12, 30), range(5, 30)], ids=["apart", "overlapping"])
def test_equals_a_loop(gallery, k, alpha, block):
    queries, gallery = np.arange(12)[::-1].copy(), np.asarray(gallery)
    found = query_expansion(
        embedding_similarity(POINTS), queries=queries, gallery=gallery, k=k, alpha=alpha, block=block
    )
    q, g = torch.from_numpy(queries), torch.from_numpy(gallery)
    expected = by_loop(queries, gallery, k, alpha)
    np.testing.assert_allclose(found.block(q, g), expected, atol=1e-5)
    np.testing.assert_allclose(found.pairs(q, g[:12]), expected[range(12), range(12)], atol=1e-5)


def test_bad_input():
    with pytest.raises(HeadError, match="there are 0 and 2"):
        query_expansion(embedding_similarity(POINTS), queries=[], gallery=[1, 2])
    with pytest.raises(HeadError, match="use csls"):
        query_expansion(embedding_similarity(POINTS, "euclidean"), queries=[0, 1], gallery=[2, 3])
    with pytest.raises(HeadError, match="not finite"):
        query_expansion(embedding_similarity(torch.full((4, 2), torch.nan)), queries=[0, 1], gallery=[2, 3])
