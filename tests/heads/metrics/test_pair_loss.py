"""The contrastive loss of listed pairs, against a loop over pairs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from heads.metrics.evaluation import Subset, evaluate_subset
from heads.metrics.intervals import dyadic_interval
from heads.metrics.merging import merge_evaluations
from heads.metrics.pair_loss import pair_loss
from heads.metrics.score_table import RunEvaluations, score_table
from heads.metrics.summary import summarize
from heads.settings import HeadSettings
from heads.similarity import embedding_similarity

RNG = np.random.default_rng(0)
PLANE = torch.from_numpy(RNG.normal(size=(30, 2)) * 3).float()
LABELS = np.repeat(np.arange(5), 6)
ALL = np.arange(30)
A, B = RNG.integers(0, 15, 40), RNG.integers(15, 30, 40)
SUBSET = Subset(ALL, ALL, pairs=(A, B, LABELS[A] == LABELS[B]))


def settings(**changes) -> HeadSettings:
    return HeadSettings(features="plane", model="identity", **changes)


def by_loop(*, margin: float, squared: bool = False, cosine: bool = False) -> float:
    """The function of the MNIST plane report, pair by pair: (1 - y) d^2 + y max(margin - d, 0)^2."""
    total = 0.0
    for a, b in zip(A, B, strict=True):
        x, y = PLANE[a].numpy().astype(float), PLANE[b].numpy().astype(float)
        d = 1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y) if cosine else np.linalg.norm(x - y)
        apart = max(margin - d**2, 0) if squared else max(margin - d, 0) ** 2
        total += d**2 if LABELS[a] == LABELS[b] else apart
    return total / len(A)


def evaluation_of(distance: str):
    return evaluate_subset(embedding_similarity(PLANE, distance), LABELS, subset=SUBSET, candidates=5, threshold=0)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"distance": "euclidean", "margin": 5.0}, {"margin": 5.0}),
        ({"distance": "squared_euclidean", "margin": 5.0}, {"margin": 5.0}),  # scored by the distance itself
        ({"distance": "euclidean", "margin": 25.0, "margin_on": "squared"}, {"margin": 25.0, "squared": True}),
        ({"margin": 0.7}, {"margin": 0.7, "cosine": True}),
    ],
)
def test_as_a_loop_over_pairs(chosen, expected):
    cosine = chosen.get("distance", "cosine") == "cosine"
    found = pair_loss(evaluation_of("cosine" if cosine else "euclidean").listed, settings(**chosen), cosine=cosine)
    assert found.shape == (40,) and found.mean() == pytest.approx(by_loop(**expected), rel=1e-5)


def table(**chosen):
    evaluation, baseline = evaluation_of("euclidean"), evaluation_of("cosine")
    other = {"seen": baseline}
    scores = RunEvaluations(head=[{"seen": evaluation}], baseline=other, projection=other, chance=other)
    lines = score_table(scores, clusters=ALL, n_bootstrap=100, head=settings(**chosen))
    return summarize(lines, subsets=["seen"], protocol="p"), {line.score: line for line in lines}


def test_a_line_of_the_table_and_a_key_of_the_metrics():
    numbers, lines = table(distance="euclidean", margin=5.0)
    assert lines["pair_loss"].head == pytest.approx(by_loop(margin=5.0), rel=1e-5)
    assert lines["pair_loss"].baseline == pytest.approx(by_loop(margin=5.0, cosine=True), rel=1e-5)
    assert numbers["pair_loss"] == round(lines["pair_loss"].head, 4)


def test_its_interval_knows_both_rows_of_a_pair():
    """Positives come first, in the values as in their rows; and so do those of several parts merged_terms."""
    whole = evaluation_of("euclidean")
    positive = LABELS[A] == LABELS[B]
    expected = dyadic_interval(
        pair_loss(whole.listed, settings(distance="euclidean", margin=5.0), cosine=False),
        ends=np.stack([np.r_[A[positive], A[~positive]], np.r_[B[positive], B[~positive]]], axis=1),
    )
    assert table(distance="euclidean", margin=5.0)[1]["pair_loss"].half_width == pytest.approx(expected.half_width)
    halves = [replace(SUBSET, pairs=(A[part], B[part], positive[part])) for part in (slice(0, 25), slice(25, 40))]
    plane = embedding_similarity(PLANE, "euclidean")
    merged = merge_evaluations(
        [evaluate_subset(plane, LABELS, subset=part, candidates=5, threshold=0) for part in halves]
    )
    terms = pair_loss(merged.listed, settings(distance="euclidean", margin=5.0), cosine=False)
    merged_terms = sorted(zip(merged.listed_rows.tolist(), terms.tolist(), strict=True))
    alone = pair_loss(whole.listed, settings(distance="euclidean", margin=5.0), cosine=False)
    for (found, term), (rows, value) in zip(
        merged_terms, sorted(zip(whole.listed_rows.tolist(), alone.tolist(), strict=True)), strict=True
    ):
        assert found == rows and term == pytest.approx(value)


def test_other_losses_have_no_such_score():
    numbers, lines = table(distance="euclidean", loss="triplet")
    assert "pair_loss" not in numbers and "pair_loss" not in lines
