import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from heads.errors import HeadError
from heads.metrics import pairs
from heads.metrics.pairs import score_all_pairs, score_pairs
from heads.metrics.verification import confusion_at, roc
from heads.similarity import Similarity, embedding_similarity

SIMILARITY = embedding_similarity(torch.randn(12, 4, generator=torch.Generator().manual_seed(0)))
LABELS = np.arange(12) % 3


def test_all_pairs_equal_a_loop():
    every = score_all_pairs(SIMILARITY, LABELS, queries=[0, 3, 4], gallery=np.arange(10))
    got = every.sample
    np.testing.assert_array_equal(every.positives.values, np.sort(got.positives))
    np.testing.assert_array_equal(every.negatives.values, np.sort(got.negatives))
    expected = {True: [], False: []}
    for q in (0, 3, 4):
        for g in range(10):
            if g != q:
                positive = bool(LABELS[g] == LABELS[q])
                expected[positive].append((q, float(SIMILARITY.pairs(torch.tensor([q]), torch.tensor([g])))))
    for scores, rows, positive in (
        (got.positives, got.positive_queries, True),
        (got.negatives, got.negative_queries, False),
    ):
        assert rows.tolist() == [q for q, _ in expected[positive]]
        np.testing.assert_allclose(scores, [score for _, score in expected[positive]], atol=1e-6)


@pytest.mark.parametrize("cheaper", [0, 1000], ids=["gathered", "product"])
def test_listed_pairs(monkeypatch, cheaper):
    monkeypatch.setattr(pairs, "PRODUCT_RATIO", cheaper)
    got = score_pairs(SIMILARITY, [0, 1, 2], right=[3, 5, 8], positive=[True, False, True])
    assert got.positive_queries.tolist() == [0, 2]
    assert got.negative_queries.tolist() == [1]
    np.testing.assert_allclose(got.negatives, SIMILARITY.pairs(torch.tensor([1]), torch.tensor([5])), rtol=1e-6)


def test_many_listed_pairs_are_gathered_a_part_at_a_time(monkeypatch):
    """Two million of them at once would be gigabytes."""
    sizes = []

    def counted(a, b):
        sizes.append(len(a))
        return SIMILARITY.pairs(a, b)

    left, right = (np.random.default_rng(seed).integers(12, size=100) for seed in (0, 1))
    expected = pairs.pair_similarities(SIMILARITY, left, right)
    monkeypatch.setattr(pairs, "PRODUCT_RATIO", 0)
    monkeypatch.setattr(pairs, "MAX_GATHERED", 30)
    got = pairs.pair_similarities(Similarity(SIMILARITY.block, counted), left, right)
    assert sizes == [30, 30, 30, 10]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_broken_similarity_is_an_error():
    broken = embedding_similarity(torch.full((3, 2), torch.nan))
    with pytest.raises(HeadError) as error:
        score_pairs(broken, [0], right=[1], positive=[True])
    assert "not finite" in str(error.value)
    with pytest.raises(HeadError, match="not finite"):
        score_all_pairs(broken, [0, 0, 1], queries=[0], gallery=[1, 2])


def test_beyond_the_limit_an_equal_share_of_each_kind_is_sampled(monkeypatch):
    every = np.arange(12)
    full = score_all_pairs(SIMILARITY, LABELS, queries=every, gallery=every).sample
    assert (len(full.positives), len(full.negatives)) == (12 * 3, 12 * 8)
    monkeypatch.setattr(pairs, "MAX_PAIRS", 40)
    got = score_all_pairs(SIMILARITY, LABELS, queries=every, gallery=every).sample
    assert len(got.positives) > 25
    assert 25 < len(got.negatives) < 55
    assert np.isin(got.negatives, full.negatives).all()
    again = score_all_pairs(SIMILARITY, LABELS, queries=every, gallery=every).sample
    np.testing.assert_array_equal(got.negatives, again.negatives)
    monkeypatch.setattr(pairs, "MAX_PAIRS", 4)
    assert len(score_all_pairs(SIMILARITY, LABELS, queries=every, gallery=every).sample.positives) < 12


@pytest.mark.parametrize("limit", [100, 1000], ids=["both-kinds-sampled", "negatives-sampled"])
@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e4])
def test_scores_count_every_pair_beyond_the_limit(monkeypatch, limit, scale):
    """AUC and accuracies were those of a sample, off in the fourth digit."""
    monkeypatch.setattr(pairs, "MAX_PAIRS", limit)
    monkeypatch.setattr(pairs, "BLOCK", 80 * 50)  # blocks of 50 queries
    labels = np.repeat(np.arange(10), 20)
    points = torch.randn(200, 3, generator=torch.Generator().manual_seed(1)) + torch.from_numpy(labels)[:, None] / 4
    similarity = embedding_similarity(scale * points, "euclidean")
    queries, gallery = np.arange(200), np.arange(0, 200, 2)
    scores = similarity.block(torch.from_numpy(queries), torch.from_numpy(gallery)).numpy()
    positive, counted = labels[:, None] == labels[gallery], queries[:, None] != gallery
    got = score_all_pairs(similarity, labels, queries=queries, gallery=gallery)
    assert (got.positives.total, got.negatives.total) == ((positive & counted).sum(), (~positive).sum())
    expected = roc_auc_score(positive[counted], scores[counted])
    assert roc(got.positives, got.negatives).auc == pytest.approx(expected, abs=1e-5)
    threshold = float(np.median(scores))
    correct = ((scores >= threshold) == positive)[counted].mean()
    counts = confusion_at(got.positives, got.negatives, threshold=threshold)
    assert counts.accuracy == pytest.approx(correct, abs=1e-4)


def test_a_constant_similarity_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(pairs, "MAX_PAIRS", 10)
    constant = Similarity(block=lambda q, g: torch.full((len(q), len(g)), 0.3), pairs=None)
    got = score_all_pairs(constant, LABELS, queries=np.arange(12), gallery=np.arange(12))
    assert roc(got.positives, got.negatives).auc == 0.5


def test_kept_places_are_a_fair_sample():
    kind = np.random.default_rng(0).random((50, 40)) < 0.5
    rng = np.random.default_rng(1)
    times = np.zeros(kind.size)
    for _ in range(2000):
        place = pairs.sample_places(kind, 0.2, rng)
        assert (np.diff(place) > 0).all()
        times[place] += 1
    assert (times[~kind.ravel()] == 0).all()
    kept = times[kind.ravel()] / 2000
    assert kept.mean() == pytest.approx(0.2, abs=0.002)
    assert kept.std() == pytest.approx((0.2 * 0.8 / 2000) ** 0.5, rel=0.15)  # none is favoured, not the last either
    assert kept[-20:].mean() == pytest.approx(0.2, abs=0.01)


def test_empty():
    with pytest.raises(HeadError) as error:
        score_all_pairs(SIMILARITY, LABELS, queries=[], gallery=[1])
    assert "0 queries" in str(error.value)
