"""Ranks against a loop that compares one pair at a time."""

import numpy as np
import pytest
import torch

from heads.errors import HeadError
from heads.metrics import ranking
from heads.metrics.ranking import rank_queries, rankable
from heads.similarity import Similarity, embedding_similarity


def table(scores) -> Similarity:
    """A similarity that is a table: what the loops below look up too."""
    scores = torch.as_tensor(scores, dtype=torch.float32)
    return Similarity(block=lambda q, g: scores[q][:, g], pairs=lambda a, b: scores[a, b])


def slow_ranks(scores, labels, queries, gallery):
    """query row -> {match row: (negatives above, negatives level)}"""
    found = {}
    for q in queries:
        positives = [g for g in gallery if g != q and labels[g] == labels[q]]
        negatives = [g for g in gallery if g != q and labels[g] != labels[q]]
        if positives and negatives:
            found[q] = {
                m: (
                    sum(scores[q, n] > scores[q, m] for n in negatives),
                    sum(scores[q, n] == scores[q, m] for n in negatives),
                )
                for m in positives
            }
    return found


def as_dict(ranks):
    found = {int(q): {} for q in ranks.queries}
    for q, m, higher, ties in zip(ranks.query, ranks.positive, ranks.higher, ranks.ties, strict=True):
        found[int(ranks.queries[q])][int(m)] = (int(higher), int(ties))
    return found


@pytest.mark.parametrize("groups", [2, 5, 12, 30], ids=lambda g: f"{g}-groups")
@pytest.mark.parametrize("levels", [1, 3, 1000], ids=lambda n: f"{n}-levels")
@pytest.mark.parametrize(("block", "tile"), [(1, 7), (100, 8192), (2**20, 1)])
def test_ranks_equal_a_loop(groups, levels, block, tile, monkeypatch):
    monkeypatch.setattr(ranking, "TILE", tile)
    rng = np.random.default_rng(groups * levels)
    labels = rng.integers(groups, size=40)
    scores = rng.integers(levels, size=(40, 40)) / 8 - 1
    queries, gallery = rng.permutation(40)[:25], rng.permutation(40)[:30]

    ranks = rank_queries(table(scores), labels, queries=queries, gallery=gallery, block=block)

    expected = slow_ranks(scores, labels, queries, gallery)
    assert as_dict(ranks) == expected
    assert ranks.left_out == len(queries) - len(expected)
    assert [int(n) for n in ranks.negatives] == [sum(labels[g] != labels[q] for g in gallery) for q in ranks.queries]


def test_entries_are_ordered_best_first():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(30, 30))
    ranks = rank_queries(table(scores), np.arange(30) % 3, queries=np.arange(30), gallery=np.arange(30))
    assert (np.diff(ranks.query) >= 0).all()
    same = np.diff(ranks.query) == 0
    assert (np.diff(ranks.higher)[same] >= 0).all()


def test_pairs_have_one_match_each_and_a_query_is_not_its_own():
    # rows 0..4 are left, 5..9 right; the embedding of a match is the same
    embeddings = torch.eye(5).repeat(2, 1)
    labels = np.tile(np.arange(5), 2)
    ranks = rank_queries(embedding_similarity(embeddings), labels, queries=np.arange(5), gallery=np.arange(5, 10))
    assert ranks.positive.tolist() == [5, 6, 7, 8, 9]
    assert ranks.higher.tolist() == [0] * 5
    both = rank_queries(embedding_similarity(embeddings), labels, queries=np.arange(10), gallery=np.arange(10))
    assert both.positives.tolist() == [1] * 10
    assert both.negatives.tolist() == [8] * 10


def test_equal_embeddings_are_ties_whatever_the_last_bits_say():
    embeddings = torch.randn(1, 320, generator=torch.Generator().manual_seed(0)).repeat(501, 1)
    ranks = rank_queries(
        embedding_similarity(embeddings), np.arange(501) // 2 % 250, queries=np.arange(20), gallery=np.arange(501)
    )
    assert (ranks.higher == 0).all()
    assert (ranks.ties == ranks.negatives[ranks.query]).all()


def test_no_memory_of_the_callers_scores_is_touched():
    scores = torch.rand(6, 6)
    before = scores.clone()
    similarity = Similarity(block=lambda q, g: scores[q][:, g], pairs=lambda a, b: scores[a, b])
    rank_queries(similarity, np.arange(6) % 2, queries=np.arange(6), gallery=np.arange(6))
    assert torch.equal(scores, before)


@pytest.mark.parametrize(
    ("labels", "queries", "gallery", "message"),
    [
        ([0, 0, 1], [], [0, 1, 2], "0 queries against 3"),
        ([0, 0, 1], [0], [], "1 queries against 0"),
        (
            [0, 1, 2],
            [0, 1],
            [0, 1, 2],
            "none of 2 queries",
        ),
        (
            [0, 0, 0],
            [0, 1, 2],
            [0, 1, 2],
            "none of 3 queries",
        ),
    ],
)
def test_nothing_to_rank(labels, queries, gallery, message):
    with pytest.raises(HeadError) as error:
        rank_queries(table(np.zeros((3, 3))), labels, queries=queries, gallery=gallery)
    assert message in str(error.value)


@pytest.mark.parametrize("size", [2, 6], ids=["counted", "sorted"])
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(1, 0), (1, -1)], ids=["positive", "negative"])
def test_a_broken_similarity_is_an_error(broken, size, place):
    scores = np.zeros((2 * size, 2 * size))
    scores[place] = broken
    with pytest.raises(HeadError) as error:
        rank_queries(table(scores), np.repeat([0, 1], size), queries=range(2 * size), gallery=range(2 * size))
    assert "not finite" in str(error.value)


def test_answerable_queries_are_those_that_are_ranked():
    rng = np.random.default_rng(0)
    for _ in range(30):
        labels = rng.integers(4, size=12)
        queries, gallery = (rng.permutation(12)[: rng.integers(2, 8)] for _ in range(2))
        found = rankable(labels, queries=queries, gallery=gallery)
        expected = []
        for query in queries:
            negatives = labels[gallery[gallery != query]]
            expected.append((negatives == labels[query]).any() and (negatives != labels[query]).any())
        np.testing.assert_array_equal(found, expected)
        if found.any():
            similarity = embedding_similarity(torch.from_numpy(rng.normal(size=(12, 3))))
            ranks = rank_queries(similarity, labels, queries=queries, gallery=gallery)
            np.testing.assert_array_equal(ranks.queries, queries[found])
