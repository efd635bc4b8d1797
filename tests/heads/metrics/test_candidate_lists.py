"""The hypergeometric hit rate against SciPy, against every possible list, and against drawing lists at random."""

from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from scipy.stats import hypergeom

from heads.errors import HeadError
from heads.metrics.candidate_lists import hit_curve, hit_rate, hits, list_hits, rank_lists
from heads.metrics.ranking import Ranks, rank_queries
from heads.similarity import Similarity


def ranks_of(higher, ties, negatives) -> Ranks:
    """One match per query."""
    count = len(higher)
    return Ranks(
        queries=np.arange(count),
        negatives=np.broadcast_to(np.asarray(negatives), count).copy(),
        query=np.arange(count),
        positive=np.arange(count),
        higher=np.asarray(higher),
        ties=np.asarray(ties),
        left_out=0,
    )


def test_equals_scipy_without_ties():
    higher, negatives = np.arange(501), 500
    for k in (1, 2, 5, 20):
        expected = hypergeom.cdf(k - 1, negatives, higher, 19)
        np.testing.assert_allclose(
            hits(ranks_of(higher, 0 * higher, negatives), k=k, candidates=20), expected, atol=1e-9
        )


def test_exact_for_large_galleries():
    higher = np.array([0, 1, 10, 1_000, 50_000, 99_999])
    expected = hypergeom.cdf(1, 99_999, higher, 19)
    np.testing.assert_allclose(hits(ranks_of(higher, 0 * higher, 99_999), k=2, candidates=20), expected, atol=1e-6)


@pytest.mark.parametrize("candidates", [2, 3, 4])
def test_equals_every_list_and_every_order_of_ties(candidates):
    distractors = [3, 3, 2, 2, 2, 1]  # similarities of six negatives; the match has 2
    for k in range(1, candidates + 1):
        outcomes = []
        for chosen in combinations(distractors, candidates - 1):
            level = chosen.count(2)
            # every place the match can take among those level with it is equally likely
            outcomes.append(np.mean([chosen.count(3) + place < k for place in range(level + 1)]))
        assert hits(ranks_of([2], [3], 6), k=k, candidates=candidates)[0] == pytest.approx(np.mean(outcomes), abs=1e-12)


def test_equals_random_lists():
    rng = np.random.default_rng(0)
    levels = rng.integers(40, size=300) / 8  # many ties
    match, samples = 3.5, 20_000
    distractors = rng.permuted(np.tile(levels, (samples, 1)), axis=1)[:, :9]
    jitter = rng.random((samples, 10))
    above = (distractors > match) | ((distractors == match) & (jitter[:, 1:] > jitter[:, :1]))
    drawn = (above.sum(1) < 3).mean()
    exact = hits(ranks_of([(levels > match).sum()], [(levels == match).sum()], 300), k=3, candidates=10)[0]
    assert exact == pytest.approx(drawn, abs=4 * np.sqrt(exact * (1 - exact) / samples))


def test_constant_similarity_is_chance():
    ranks = ranks_of([0] * 4, [99] * 4, 99)
    assert hit_rate(ranks, k=2, candidates=20) == pytest.approx(0.1, abs=1e-12)


def test_the_whole_list_always_hits_and_the_whole_gallery_is_a_list():
    ranks = ranks_of([0, 5, 19], [0, 3, 0], 19)
    np.testing.assert_allclose(hits(ranks, k=20, candidates=20), 1)
    np.testing.assert_allclose(hits(ranks, k=2, candidates=20), [1, 0, 0], atol=1e-12)


def test_several_matches_and_galleries_of_several_sizes():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(6), [2, 3, 5, 9, 12, 9])
    scores = torch.from_numpy(rng.integers(6, size=(40, 40)).astype(np.float32))
    similarity = Similarity(block=lambda q, g: scores[q][:, g], pairs=lambda a, b: scores[a, b])
    ranks = rank_queries(similarity, labels, queries=np.arange(40), gallery=np.arange(40))
    got = hits(ranks, k=2, candidates=8)
    for place, q in enumerate(ranks.queries):
        others = np.flatnonzero(labels != labels[q])
        expected = []
        for match in np.flatnonzero((labels == labels[q]) & (np.arange(40) != q)):
            higher = int((scores[q, others] > scores[q, match]).sum())
            level = int((scores[q, others] == scores[q, match]).sum())
            expected.append(np.mean([hypergeom.cdf(1, len(others), higher + j, 7) for j in range(level + 1)]))
        assert got[place] == pytest.approx(np.mean(expected), abs=1e-9)
    curve = hit_curve(ranks, candidates=8)
    np.testing.assert_allclose(curve, [hit_rate(ranks, k=k, candidates=8) for k in range(1, 9)], atol=1e-9)


@pytest.mark.parametrize("k", [0, 21])
def test_k_outside_the_list(k):
    with pytest.raises(HeadError) as error:
        hits(ranks_of([0], [0], 50), k=k, candidates=20)
    assert "1..20" in str(error.value)


def test_a_list_longer_than_the_gallery():
    for ask in (lambda ranks: hits(ranks, k=2, candidates=20), lambda ranks: hit_curve(ranks, candidates=20)):
        with pytest.raises(HeadError) as error:
            ask(ranks_of([0], [0], 12))
        assert "19 distractors" in str(error.value) and "data.candidates" in str(error.value)


def test_frozen_lists_equal_every_order_of_ties():
    scores = torch.tensor([[5.0, 2, 2, 2, 7], [1, 1, 1, 1, 1], [0, 3, 1, 2, 4]])
    similarity = Similarity(block=lambda q, g: scores[q][:, g], pairs=lambda a, b: scores[a, b])
    candidates, truth = np.array([[0, 1, 2, 3], [4, 3, 2, 1], [1, 2, 4, 0]]), np.array([2, 0, 1])
    higher, ties = rank_lists(similarity, queries=[0, 1, 2], candidates=candidates, truth=truth)
    assert higher.tolist() == [1, 0, 2]
    assert ties.tolist() == [2, 3, 0]
    for k in range(1, 5):
        expected = []
        for row, places, true in zip(scores.numpy(), candidates, truth, strict=True):
            orders = [sorted(order, key=lambda c: -row[places[c]]) for order in permutations(range(4))]
            expected.append(np.mean([true in order[:k] for order in orders]))
        np.testing.assert_allclose(list_hits(higher, ties, k=k), expected)


def test_frozen_lists_of_a_broken_similarity():
    scores = torch.tensor([[1.0, torch.nan]])
    similarity = Similarity(block=lambda q, g: scores[q][:, g], pairs=lambda a, b: scores[a, b])
    with pytest.raises(HeadError, match="not finite"):
        rank_lists(similarity, queries=[0], candidates=[[0, 1]], truth=[0])
