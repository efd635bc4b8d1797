"""Scores of arrays: those of the functions that the pipeline calls, and of scikit-learn."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import heads
from heads import evaluate
from heads.errors import HeadError
from heads.similarity import embedding_similarity

RNG = np.random.default_rng(0)
LABELS = np.repeat([f"class {i}" for i in range(12)], 5)
POINTS = RNG.normal(size=(12, 6))[np.repeat(np.arange(12), 5)] + 0.8 * RNG.normal(size=(60, 6))


class Doubled:
    """A head of two seeds, the second of which is blind to one direction."""

    def similarities(self, features):
        return [embedding_similarity(features), embedding_similarity(features[:, 1:])]


def nearest_is_positive(points):
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -np.inf)
    return (LABELS[scores.argmax(1)] == LABELS).mean()


def test_embeddings():
    scores = evaluate(POINTS, LABELS)
    assert scores["recall_at_1"].head == pytest.approx(nearest_is_positive(POINTS))
    unit = POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)
    off = ~np.eye(60, dtype=bool)
    same = LABELS[:, None] == LABELS
    assert scores["auc"].head == pytest.approx(roc_auc_score(same[off], (unit @ unit.T)[off]), abs=1e-5)
    assert scores["top2"].chance == pytest.approx(0.1)
    assert all(0 < scores[name].half_width < 0.3 for name in ("top2", "recall_at_1", "auc", "map_at_r"))
    assert not {"accuracy", "balanced_accuracy"} & set(scores)


def test_a_head_is_scored_seed_by_seed_beside_its_features():
    scores = evaluate(POINTS, LABELS, head=Doubled())
    recalls = [nearest_is_positive(POINTS), nearest_is_positive(POINTS[:, 1:])]
    assert scores["recall_at_1"].head == pytest.approx(np.mean(recalls))
    assert scores["recall_at_1"].baseline == pytest.approx(recalls[0])
    assert scores["map_at_r"].half_width_seeds > 0


def test_tensors_other_distances_and_another_baseline():
    scores = evaluate(torch.from_numpy(POINTS), LABELS, distance="euclidean", baseline=POINTS[:, :2])
    assert scores["recall_at_1"].baseline == pytest.approx(nearest_is_positive(POINTS[:, :2]))


def test_queries_gallery_and_clusters():
    left, right = np.arange(0, 60, 5), np.arange(1, 60, 5)
    scores = evaluate(POINTS, LABELS, queries=left, gallery=right, candidates=12)
    assert scores["top1"].chance == pytest.approx(1 / 12)
    single = evaluate(POINTS, LABELS, clusters=np.arange(60))
    assert single["map_at_r"].half_width < evaluate(POINTS, LABELS)["map_at_r"].half_width


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": LABELS[:-1]}, "labels has 59 entries for 60 rows"),
        ({"clusters": [1, 2]}, "clusters has 2 entries"),
        ({"baseline": POINTS[:3]}, "baseline has 3 entries"),
        ({"rows": POINTS[:, 0]}, r"shape \(N, D\)"),
        ({"labels": np.arange(60)}, "nothing to rank"),
        ({"candidates": 100}, "100 needs 99 distractors"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(HeadError, match=message):
        evaluate(**{"rows": POINTS, "labels": LABELS} | changes)


def test_importing_heads_is_cheap_and_tells_what_there_is():
    code = "import heads, sys; assert 'torch' not in sys.modules; heads.evaluate; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert heads.HeadTransformer.__name__ == "HeadTransformer"
    with pytest.raises(AttributeError, match="evaluate"):
        heads.evalaute  # noqa: B018
