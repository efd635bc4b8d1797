"""Similarities of rows against NumPy in float64; ranking and pairs see the same numbers."""

import numpy as np
import pytest
import torch

from heads import similarity as module
from heads.metrics.ranking import rank_queries
from heads.metrics.verification import roc
from heads.similarity import embedding_similarity, euclidean_matrix, euclidean_pairs

ROWS = torch.arange(40)


def points(*, offset=0.0, scale=1.0, width=8, seed=0):
    return scale * torch.randn(40, width, generator=torch.Generator().manual_seed(seed)) + offset


def in_float64(embeddings, distance):
    x = embeddings.double().numpy()
    if distance == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        return x @ x.T
    return -np.linalg.norm(x[:, None] - x, axis=2)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", [{}, {"offset": 3000.0}, {"offset": -1e5, "scale": 10.0}, {"scale": 1e-6}], ids=str)
def test_block_and_pairs_equal_float64(distance, kind):
    embeddings = points(**kind)
    similarity, expected = embedding_similarity(embeddings, distance), in_float64(embeddings, distance)
    np.testing.assert_allclose(similarity.block(ROWS, ROWS), expected, rtol=2e-6, atol=1e-6 * np.abs(expected).max())
    for shift in (1, 7):
        other = (ROWS + shift) % 40
        np.testing.assert_allclose(similarity.pairs(ROWS, other), expected[ROWS, other], rtol=2e-6, atol=1e-6)


def test_ranks_of_distant_points_are_those_of_centred_ones():
    """In float32, |a|^2 + |b|^2 - 2ab of these has no correct digit."""
    labels = np.repeat(np.arange(10), 4)
    centred = points() + torch.from_numpy(labels)[:, None]
    ranks = [
        rank_queries(embedding_similarity(rows, "euclidean"), labels, queries=ROWS, gallery=ROWS)
        for rows in (centred, (centred.double() + 3000).float())
    ]
    # 3000 + x keeps four digits of x, so a few near-ties may turn.
    assert np.mean(np.abs(ranks[0].higher - ranks[1].higher)) < 0.05
    positive = labels[:, None] == labels
    scores = embedding_similarity(centred + 3000, "euclidean").block(ROWS, ROWS).numpy()
    exact = in_float64(centred, "euclidean")
    aucs = [roc(each[positive], each[~positive]).auc for each in (scores, exact)]
    assert aucs[0] == pytest.approx(aucs[1], abs=1e-3)


@pytest.mark.parametrize("offset", [0.0, 3000.0])
def test_copies_have_distance_zero(offset):
    rows = points(offset=offset).repeat_interleave(2, dim=0)
    assert euclidean_matrix(rows, rows).diagonal(1)[::2].eq(0).all()
    assert euclidean_pairs(rows[::2], rows[1::2]).eq(0).all()


def test_tiles_and_batches_of_matrices_change_nothing(monkeypatch):
    left, right = points(), points(seed=1)
    whole = euclidean_matrix(left, right)
    torch.testing.assert_close(euclidean_matrix(left.view(2, 20, 8), right.view(2, 20, 8))[1], whole[20:, 20:])
    monkeypatch.setattr(module, "TILE", 90)
    torch.testing.assert_close(euclidean_matrix(left, right), whole)
    assert euclidean_matrix(left[:0], right).shape == (0, 40)
    assert euclidean_matrix(left, right[:0]).shape == (40, 0)
