import pytest
import torch

from heads.training.collapse import alarms, health


def line(epoch: int, *, seed: int = 0, loss: float = 0.1, spread: float = 0.2, active: float = 0.5) -> dict[str, float]:
    return {"seed": seed, "epoch": epoch, "loss": loss, "spread": spread, "active": active}


def test_health_equals_a_loop():
    draw = torch.Generator().manual_seed(0)
    positive, negative = torch.rand(2, 4, 2, generator=draw), torch.rand(2, 4, 6, generator=draw)
    valid = torch.rand(2, 4, 6, generator=draw) > 0.4
    life = health((positive, negative, valid), 0.1)
    for s in range(2):
        values = positive[s].flatten().tolist() + negative[s][valid[s]].tolist()
        combos = [
            negative[s, a, n] > positive[s, a, p] - 0.1
            for a in range(4)
            for p in range(2)
            for n in range(6)
            if valid[s, a, n]
        ]
        assert life.spread[s] == pytest.approx(torch.tensor(values).double().std(correction=0).item())
        assert life.active[s] == pytest.approx(sum(combos).item() / len(combos))


def test_no_valid_negative_is_no_division_by_zero():
    life = health((torch.rand(1, 2, 1), torch.rand(1, 2, 3), torch.zeros(1, 2, 3, dtype=torch.bool)), 0.1)
    assert life.active == [0.0]


def test_a_healthy_run_says_nothing():
    assert alarms([line(0), line(1), line(2)], loss="triplet", margin=0.2) == []


def test_collapse_is_named_with_what_was_seen():
    found = alarms([line(1), line(2, spread=3e-5), line(1, seed=1)], loss="triplet", margin=0.2)
    assert found == [
        "seed 0: collapsed: similarities differ by 3e-05 only; lower head.lr or take easier negatives",
    ]


def test_loss_stuck_at_the_margin():
    found = alarms([line(e, loss=0.2) for e in range(1, 5)], loss="triplet", margin=0.2)
    assert len(found) == 1 and "the loss is stuck at the margin 0.2, where all distances are equal" in found[0]
    assert alarms([line(e, loss=0.2) for e in range(1, 5)], loss="contrastive", margin=0.2) == []


def test_nothing_left_to_learn_says_since_when():
    found = alarms([line(1), line(2, active=0), line(3, active=0)], loss="triplet", margin=0.2)
    assert found == [
        "seed 0: no negative is near any more since epoch 2: nothing left to learn; "
        "take a larger head.margin or harder negatives"
    ]


def test_losses_without_a_margin_learn_from_far_negatives_too():
    assert alarms([line(1), line(2, active=0)], loss="infonce", margin=0.0) == []
