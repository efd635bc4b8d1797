import pytest
import torch

from heads.mining import mine


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
