import numpy as np
import pytest
import torch

from heads.models.base import Head
from heads.training.mining import mine, mine_offline
from heads.training.samplers import TrainingSet


def loop_mine(kind, similarity, positives, negatives):
    kept = torch.zeros_like(negatives)
    for a in range(len(negatives)):
        columns = torch.nonzero(negatives[a]).flatten().tolist()
        if not columns:
            continue
        score = dict(enumerate(similarity[a].tolist()))
        least = min((score[p] for p in torch.nonzero(positives[a]).flatten().tolist()), default=torch.inf)
        easier = [n for n in columns if score[n] < least]
        if kind == "hard":
            best = max(columns, key=score.get)
        else:
            best = max(easier, key=score.get) if easier else min(columns, key=score.get)
        kept[a, best] = True
    return kept


@pytest.mark.parametrize("kind", ["hard", "semihard"])
@pytest.mark.parametrize("seed", range(8))
def test_equals_loop(kind, seed):
    rng = torch.Generator().manual_seed(seed)
    similarity = torch.rand(6, 9, generator=rng)
    positives = torch.rand(6, 9, generator=rng) > 0.7
    negatives = (torch.rand(6, 9, generator=rng) > 0.5) & ~positives
    negatives[0] = False
    found = mine(kind, similarity, positives, negatives)
    assert torch.equal(found, loop_mine(kind, similarity, positives, negatives))


def test_in_batch_keeps_all():
    negatives = torch.rand(3, 4) > 0.5
    assert mine("in_batch", torch.rand(3, 4), ~negatives, negatives) is negatives


def loop_offline(similarity, labels, sides, count, relative_margin, max_score):
    """What each anchor may take, most alike first."""
    chosen = []
    for a in range(len(labels)):
        answers = [n for n in range(len(labels)) if n != a and (sides is None or sides[n] == 1)]
        positives = [similarity[a, n].item() for n in answers if labels[n] == labels[a]]
        mean = sum(positives) / len(positives) if positives else 0.0
        allowed = [
            n
            for n in answers
            if labels[n] != labels[a]
            and (max_score is None or similarity[a, n] <= max_score)
            and (relative_margin is None or similarity[a, n] <= mean - relative_margin * abs(mean))
        ]
        chosen.append(sorted(allowed, key=lambda n: -similarity[a, n].item())[:count])
    return chosen


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("relative_margin, max_score", [(None, None), (0.05, None), (None, 0.5), (0.2, 0.4)])
def test_offline_equals_loop_and_fills_up_with_random_negatives(paired, relative_margin, max_score, monkeypatch):
    monkeypatch.setattr("heads.training.mining.ANCHORS_AT_ONCE", 5)
    labels = np.repeat(np.arange(8), 2)
    sides = np.tile([0, 1], 8) if paired else None
    training_set = TrainingSet(np.arange(16), labels, sides, 0)
    embeddings = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    found = mine_offline(
        *(Head("cosine"), embeddings, training_set, 4),
        relative_margin=relative_margin,
        max_score=max_score,
        rng=np.random.default_rng(0),
    )
    assert found.shape == (16, 4)
    similarity = Head("cosine").pairwise(embeddings, embeddings)
    for a, wanted in enumerate(loop_offline(similarity, labels, sides, 4, relative_margin, max_score)):
        assert found[a, : len(wanted)].tolist() == wanted
        assert all(labels[n] != labels[a] for n in found[a])
        assert sides is None or (sides[found[a]] == 1).all()


def test_relative_margin_keeps_negatives_further_than_positives_where_similarities_are_distances():
    labels = np.repeat(np.arange(30), 2)
    training_set = TrainingSet(np.arange(60), labels, None, 0)
    rng = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(30, 4, generator=rng)
    embeddings = centres.repeat_interleave(2, 0) + torch.randn(60, 4, generator=rng)
    head = Head("euclidean")
    similarity = head.pairwise(embeddings, embeddings)
    for margin in (0.05, 0.6):
        found = mine_offline(
            *(head, embeddings, training_set, 1),
            relative_margin=margin,
            max_score=None,
            rng=np.random.default_rng(0),
        )[:, 0]
        positive = similarity[np.arange(60), np.arange(60) ^ 1]
        spare = (similarity < (1 + margin) * positive[:, None]).sum(1) > 0  # else a random one fills up
        assert (similarity[np.arange(60), found][spare] <= (1 + margin) * positive[spare] + 1e-5).all()


def test_offline_with_fewer_negatives_than_asked_for():
    training_set = TrainingSet(np.arange(4), np.array([0, 0, 1, 1]), None, 0)
    found = mine_offline(
        *(Head("cosine"), torch.randn(4, 3), training_set, 9),
        relative_margin=None,
        max_score=None,
        rng=np.random.default_rng(0),
    )
    assert found.shape == (4, 9) and (training_set.labels[found] != training_set.labels[:, None]).all()
