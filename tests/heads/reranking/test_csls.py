"""CSLS against a loop over pairs; a hub loses its lead."""

import numpy as np
import pytest
import torch

from heads.errors import HeadError
from heads.reranking.csls import csls
from heads.similarity import Similarity, embedding_similarity

POINTS = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))


def by_loop(scores, queries, gallery, k):
    def radius(values):
        return np.mean(sorted(values)[-k:])

    found = np.zeros((len(queries), len(gallery)))
    for i, q in enumerate(queries):
        for j, g in enumerate(gallery):
            of_query = radius([scores[q, other] for other in gallery if other != q])
            of_gallery = radius([scores[other, g] for other in queries if other != g])
            found[i, j] = scores[q, g] - (of_query + of_gallery) / 2
    return found


@pytest.mark.parametrize("block", [1, 40, 2**20])
@pytest.mark.parametrize("k", [1, 3, 50])
@pytest.mark.parametrize("gallery", [range(12, 30), range(5, 30)], ids=["apart", "overlapping"])
def test_equals_a_loop(gallery, k, block):
    queries, gallery = np.arange(12)[::-1].copy(), np.asarray(gallery)
    similarity = embedding_similarity(POINTS)
    every = torch.arange(30)
    expected = by_loop(similarity.block(every, every).numpy(), queries, gallery, k)
    found = csls(similarity, queries=queries, gallery=gallery, k=k, block=block)
    q, g = torch.from_numpy(queries), torch.from_numpy(gallery)
    np.testing.assert_allclose(found.block(q, g), expected, atol=1e-5)
    np.testing.assert_allclose(found.pairs(q, g[:12]), expected[range(12), range(12)], atol=1e-5)
    np.testing.assert_allclose(found.block(q[3:5], g[2:4]), expected[3:5, 2:4], atol=1e-5)


def test_a_hub_loses_its_lead():
    scores = torch.tensor([[0.5, 0.0, 0.0, 0.6], [0.0, 0.5, 0.0, 0.6], [0.0, 0.0, 0.5, 0.6]])  # the last is a hub
    table = torch.zeros(7, 7)
    table[:3, 3:] = scores
    similarity = Similarity(block=lambda q, g: table[q][:, g], pairs=lambda a, b: table[a, b])
    queries, gallery = torch.arange(3), torch.arange(3, 7)
    assert similarity.block(queries, gallery).argmax(1).tolist() == [3, 3, 3]
    found = csls(similarity, queries=queries, gallery=gallery, k=2)
    assert found.block(queries, gallery).argmax(1).tolist() == [0, 1, 2]


def test_too_few_and_broken():
    with pytest.raises(HeadError, match="there are 1 and"):
        csls(embedding_similarity(POINTS), queries=[0], gallery=[1, 2])
    with pytest.raises(HeadError, match="not finite"):
        csls(embedding_similarity(torch.full((4, 2), torch.nan)), queries=[0, 1], gallery=[2, 3])
