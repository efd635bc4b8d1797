"""The soft assignment against a loop of Sinkhorn's algorithm, and at low temperature against linear assignment."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from heads.errors import HeadError
from heads.reranking import one_to_one as module
from heads.reranking.one_to_one import one_to_one
from heads.similarity import embedding_similarity

POINTS = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
SIMILARITY = embedding_similarity(POINTS)


def by_loop(scores, temperature, iterations):
    """Scaling rows and columns of exp(scores / t) in turn."""
    plan = np.exp(scores / (temperature * scores.std(ddof=1)))
    for _ in range(iterations):
        for i in range(len(plan)):
            plan[i] /= plan[i].sum()
        for j in range(plan.shape[1]):
            plan[:, j] /= plan[:, j].sum() * plan.shape[1] / plan.shape[0]
    return np.log(plan) * temperature * scores.std(ddof=1)


@pytest.mark.parametrize("gallery", [range(10, 20), range(10, 24)], ids=["square", "wide"])
def test_equals_a_loop(gallery):
    queries, gallery = torch.arange(10), torch.tensor(list(gallery))
    scores = SIMILARITY.block(queries, gallery).double().numpy()
    found = one_to_one(SIMILARITY, queries=queries, gallery=gallery, temperature=0.5, iterations=30)
    np.testing.assert_allclose(found.block(queries, gallery), by_loop(scores, 0.5, 30), atol=1e-5)
    np.testing.assert_allclose(found.pairs(queries, gallery[:10]), found.block(queries, gallery).diagonal(), atol=1e-6)


def test_at_low_temperature_the_best_are_those_of_linear_assignment():
    queries, gallery = torch.arange(12), torch.arange(12, 24)
    scores = SIMILARITY.block(queries, gallery).numpy()
    assert len(set(scores.argmax(1))) < 12  # several queries share their nearest
    found = one_to_one(SIMILARITY, queries=queries, gallery=gallery, temperature=0.02, iterations=2000)
    assert found.block(queries, gallery).argmax(1).tolist() == linear_sum_assignment(-scores)[1].tolist()


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_a_similarity_does_not_matter(scale):
    queries, gallery = torch.arange(12), torch.arange(12, 24)
    whole = one_to_one(embedding_similarity(POINTS, "euclidean"), queries=queries, gallery=gallery)
    scaled = one_to_one(embedding_similarity(scale * POINTS, "euclidean"), queries=queries, gallery=gallery)
    np.testing.assert_allclose(
        scaled.block(queries, gallery), scale * whole.block(queries, gallery), rtol=1e-3, atol=1e-4 * scale
    )


def test_a_row_is_not_assigned_to_itself():
    rows = torch.arange(24)
    found = one_to_one(SIMILARITY, queries=rows, gallery=rows).block(rows, rows)
    assert torch.isfinite(found).all()


def test_bad_input(monkeypatch):
    with pytest.raises(HeadError, match="there are 1 and 2"):
        one_to_one(SIMILARITY, queries=[0], gallery=[1, 2])
    with pytest.raises(HeadError, match="not finite"):
        one_to_one(embedding_similarity(torch.full((4, 2), torch.nan)), queries=[0, 1], gallery=[2, 3])
    monkeypatch.setattr(module, "MAX_SIMILARITIES", 100)
    with pytest.raises(HeadError, match=r"lower scores\.queries"):
        one_to_one(SIMILARITY, queries=range(12), gallery=range(12, 24))


def test_a_constant_similarity_stays_constant():
    queries, gallery = torch.arange(3), torch.arange(3, 6)
    found = one_to_one(embedding_similarity(torch.ones(6, 2)), queries=queries, gallery=gallery)
    assert found.block(queries, gallery).std() < 1e-6
