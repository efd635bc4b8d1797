"""The evaluation against the single scores it is made of, and its parts against the whole."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from heads.errors import HeadError
from heads.metrics.candidate_lists import hit_rate
from heads.metrics.evaluation import Subset, evaluate_subset
from heads.metrics.merging import merge_evaluations
from heads.metrics.ranking import rank_queries
from heads.reranking.registry import rerank
from heads.similarity import embedding_similarity

LABELS = np.repeat(np.arange(10), 6)
SIMILARITY = embedding_similarity(
    torch.randn(60, 4, generator=torch.Generator().manual_seed(0)) + torch.from_numpy(LABELS)[:, None] / 3, "euclidean"
)
ALL = np.arange(60)


def test_scores_of_classes():
    evaluation = evaluate_subset(SIMILARITY, LABELS, subset=Subset(ALL, ALL), candidates=20, threshold=-1.5)
    ranks = rank_queries(SIMILARITY, LABELS, queries=ALL, gallery=ALL)
    assert evaluation.by_query["top2"].mean() == pytest.approx(hit_rate(ranks, k=2, candidates=20))
    assert evaluation.hit_curve[1] == pytest.approx(hit_rate(ranks, k=2, candidates=20))
    assert evaluation.hit_curve[-1] == pytest.approx(1)
    scores = SIMILARITY.block(torch.from_numpy(ALL), torch.from_numpy(ALL)).numpy()
    same, off = LABELS[:, None] == LABELS, ~np.eye(60, dtype=bool)
    assert evaluation.roc.auc == pytest.approx(roc_auc_score(same[off], scores[off]), abs=1e-9)
    assert evaluation.decisions.true_accepts == (scores[same & off] >= -1.5).sum()


def test_triplet_accuracy_is_the_mean_over_every_triplet():
    evaluation = evaluate_subset(SIMILARITY, LABELS, subset=Subset(ALL, ALL), candidates=5, threshold=0)
    scores = SIMILARITY.block(torch.from_numpy(ALL), torch.from_numpy(ALL)).numpy()
    expected = []
    for anchor in ALL:
        positives = scores[anchor, (LABELS[anchor] == LABELS) & (anchor != ALL)]
        negatives = scores[anchor, LABELS[anchor] != LABELS]
        expected.append((positives[:, None] > negatives).mean())
    np.testing.assert_allclose(evaluation.by_query["triplet_accuracy"], expected, atol=1e-9)


def test_frozen_lists_are_scored_beside():
    part = Subset(
        ALL,
        ALL,
        lists=(np.array([0]), np.array([[1, 30]]), np.array([0])),
        pairs=(np.array([0, 1]), np.array([0, 59]), np.array([True, False])),
        triplets=(np.array([0]), np.array([0]), np.array([59])),
        episodes=(np.array([[[0], [59]]]), np.array([[[0], [59]]])),
    )
    evaluation = evaluate_subset(SIMILARITY, LABELS, subset=part, candidates=20, threshold=-0.5)
    assert {name: values.tolist() for name, values in evaluation.frozen.items()} == {
        "top1": [1],
        "top2": [1],
        "pair_accuracy": [1, 1],
        "triplet_accuracy": [1],
    }
    assert evaluation.fewshot.tolist() == [1]


def test_many_matches_are_scored_in_chunks_with_the_same_result(monkeypatch):
    part = Subset(ALL, ALL[6:])  # six queries have no match
    whole = evaluate_subset(SIMILARITY, LABELS, subset=part, candidates=20, threshold=0)
    monkeypatch.setattr("heads.metrics.evaluation.MAX_ENTRIES", 50)
    chunked = evaluate_subset(SIMILARITY, LABELS, subset=part, candidates=20, threshold=0)
    assert (whole.left_out, chunked.left_out) == (6, 6)
    np.testing.assert_array_equal(chunked.queries, ALL[6:])
    assert list(chunked.by_query) == list(whole.by_query)
    for name, values in whole.by_query.items():
        np.testing.assert_allclose(chunked.by_query[name], values, atol=1e-12)
    np.testing.assert_allclose(chunked.hit_curve, whole.hit_curve, atol=1e-12)


def test_merged_parts():
    seen, unseen = (
        evaluate_subset(SIMILARITY, LABELS, subset=Subset(rows, rows), candidates=5, threshold=0)
        for rows in (ALL[:24], ALL[24:])
    )
    both = merge_evaluations([seen, unseen])
    assert both.queries.tolist() == ALL.tolist()
    assert both.by_query["top2"].mean() == pytest.approx(
        (24 * seen.by_query["top2"].mean() + 36 * unseen.by_query["top2"].mean()) / 60
    )
    assert both.hit_curve[1] == pytest.approx(both.by_query["top2"].mean())
    assert both.pairs.positives.total == 60 * 5
    assert merge_evaluations([seen]) is seen


def test_ks_that_do_not_fit_are_absent_and_short_galleries_fail():
    evaluation = evaluate_subset(SIMILARITY, LABELS, subset=Subset(ALL[:1], ALL[1:8]), candidates=2, threshold=0)
    assert "top5" not in evaluation.by_query
    assert "recall_at_5" in evaluation.by_query
    assert "recall_at_20" not in evaluation.by_query
    with pytest.raises(HeadError, match="a list of 20 needs 19 distractors, the gallery has only 2"):
        evaluate_subset(SIMILARITY, LABELS, subset=Subset(ALL[:1], ALL[1:8]), candidates=20, threshold=0)


def test_reranked_scores_stand_beside_the_others():
    pairs = np.tile(np.arange(30), 2)
    points = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)).repeat(2, 1)
    points = points + 0.5 * torch.randn(60, 4, generator=torch.Generator().manual_seed(1))
    subset, similarity = Subset(ALL[:30], ALL[30:]), embedding_similarity(points)
    plain = evaluate_subset(similarity, pairs, subset=subset, candidates=20, threshold=0)
    for reranking in ("csls", "one_to_one"):  # what helps where a query has one positive
        got = evaluate_subset(similarity, pairs, subset=subset, candidates=20, threshold=0, reranking=reranking)
        for name, values in plain.by_query.items():
            np.testing.assert_array_equal(got.by_query[name], values)
        corrected = rerank(reranking, similarity, queries=ALL[:30], gallery=ALL[30:])
        scores = corrected.block(torch.from_numpy(ALL[:30]), torch.from_numpy(ALL[30:])).numpy()
        np.testing.assert_array_equal(got.reranked["recall_at_1"], scores.argmax(1) == np.arange(30))
        assert got.reranked["mrr"].mean() > plain.by_query["mrr"].mean()
    assert not plain.reranked


def test_one_to_one_needs_one_positive_per_query():
    with pytest.raises(HeadError, match=r"one positive per query.*up to 5"):
        evaluate_subset(SIMILARITY, LABELS, subset=Subset(ALL, ALL), candidates=5, threshold=0, reranking="one_to_one")
