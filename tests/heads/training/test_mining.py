import numpy as np
import pytest
import torch

from heads.models.embedding_heads import Head
from heads.training.mining import mine, mine_offline
from heads.training.samplers import Pool


def loop_mine(kind, positive, negative, valid):
    kept = torch.zeros_like(valid)
    for s in range(valid.shape[0]):
        for a in range(valid.shape[1]):
            columns = [n for n in range(valid.shape[2]) if valid[s, a, n]]
            if not columns:
                continue
            score = {n: negative[s, a, n].item() for n in columns}
            if kind == "hard":
                best = max(columns, key=score.get)
            else:
                easier = [n for n in columns if score[n] < positive[s, a].min().item()]
                best = max(easier, key=score.get) if easier else min(columns, key=score.get)
            kept[s, a, best] = True
    return kept


@pytest.mark.parametrize("kind", ["hard", "semihard"])
@pytest.mark.parametrize("seed", range(5))
def test_equals_loop(kind, seed):
    draw = torch.Generator().manual_seed(seed)
    positive = torch.rand(2, 6, 2, generator=draw)
    negative = torch.rand(2, 6, 9, generator=draw)
    valid = torch.rand(2, 6, 9, generator=draw) > 0.5
    valid[0, 0] = False
    assert torch.equal(mine(kind, positive, negative, valid), loop_mine(kind, positive, negative, valid))


def test_in_batch_keeps_all():
    valid = torch.rand(1, 3, 4) > 0.5
    assert mine("in_batch", torch.rand(1, 3, 1), torch.rand(1, 3, 4), valid) is valid


def loop_offline(similarity, codes, sides, count, relative_margin, max_score):
    """What each anchor may take, most alike first."""
    chosen = []
    for a in range(len(codes)):
        answers = [n for n in range(len(codes)) if n != a and (sides is None or sides[n] == 1)]
        positives = [similarity[a, n].item() for n in answers if codes[n] == codes[a]]
        mean = sum(positives) / len(positives) if positives else 0.0
        allowed = [
            n
            for n in answers
            if codes[n] != codes[a]
            and (max_score is None or similarity[a, n] <= max_score)
            and (relative_margin is None or similarity[a, n] <= (1 - relative_margin) * mean)
        ]
        chosen.append(sorted(allowed, key=lambda n: -similarity[a, n].item())[:count])
    return chosen


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("relative_margin, max_score", [(None, None), (0.05, None), (None, 0.5), (0.2, 0.4)])
def test_offline_equals_loop_and_fills_up_with_random_negatives(paired, relative_margin, max_score, monkeypatch):
    monkeypatch.setattr("heads.training.mining.ANCHORS_AT_ONCE", 5)
    codes = np.repeat(np.arange(8), 2)
    sides = np.tile([0, 1], 8) if paired else None
    pool = Pool(np.arange(16), codes, sides, 0)
    encoded = torch.randn(2, 16, 3, generator=torch.Generator().manual_seed(0))
    draws = [np.random.default_rng(s) for s in range(2)]
    head = Head("cosine")
    found = mine_offline(head, encoded, pool, 4, relative_margin=relative_margin, max_score=max_score, draws=draws)
    assert found.shape == (2, 16, 4)
    for s in range(2):
        similarity = head.block(encoded[s : s + 1], encoded[s : s + 1])[0]
        for a, wanted in enumerate(loop_offline(similarity, codes, sides, 4, relative_margin, max_score)):
            assert found[s, a, : len(wanted)].tolist() == wanted
            assert all(codes[n] != codes[a] for n in found[s, a])
            assert sides is None or (sides[found[s, a]] == 1).all()


def test_offline_asks_for_more_than_there_are():
    pool = Pool(np.arange(4), np.array([0, 0, 1, 1]), None, 0)
    draws = [np.random.default_rng(0)]
    found = mine_offline(
        Head("cosine"), torch.randn(1, 4, 3), pool, 9, relative_margin=None, max_score=None, draws=draws
    )
    assert found.shape == (1, 4, 9) and (pool.codes[found[0]] != pool.codes[:, None]).all()
