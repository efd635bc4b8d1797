import pytest
import torch

from heads.training.collapse import collapse_stats, collapse_warnings, no_gain_warning


def row(epoch: int, *, seed: int = 0, loss: float = 0.1, std: float = 0.2, active: float = 0.5) -> dict[str, float]:
    return {"seed": seed, "epoch": epoch, "loss": loss, "std": std, "active": active}


def warn(history, *, loss: str = "triplet", margin: float = 0.2, where: str = "head") -> list[str]:
    return collapse_warnings(history, loss=loss, margin=margin, where=where)


def test_stats_equal_a_loop():
    rng = torch.Generator().manual_seed(0)
    similarity = torch.rand(4, 6, generator=rng)
    positives = torch.rand(4, 6, generator=rng) > 0.7
    negatives = (torch.rand(4, 6, generator=rng) > 0.4) & ~positives
    stats = collapse_stats(similarity, positives, negatives, 0.1)
    combos = [
        similarity[a, n] > similarity[a, p] - 0.1
        for a in range(4)
        for p in range(6)
        for n in range(6)
        if positives[a, p] and negatives[a, n]
    ]
    assert stats.std == pytest.approx(similarity[positives | negatives].double().std(correction=0).item())
    assert stats.active == pytest.approx(sum(combos).item() / len(combos))


def test_no_negative_is_no_division_by_zero():
    positives = torch.eye(3, dtype=torch.bool)
    assert collapse_stats(torch.rand(3, 3), positives, torch.zeros_like(positives), 0.1).active == 0


def test_a_healthy_run_has_no_warning():
    assert warn([row(0), row(1), row(2)]) == [] == warn([row(0)])


def test_collapse_is_named_with_what_was_seen():
    (found,) = warn([row(1, seed=3), row(2, seed=3, std=3e-5)], where="finetunes.plane")
    assert "seed 3: collapsed" in found and "3e-05" in found and "lower finetunes.plane.lr" in found


def test_loss_stuck_at_the_margin():
    history = [row(e, loss=0.2) for e in range(1, 5)]
    (found,) = warn(history)
    assert "stuck at the margin 0.2" in found and "lower head.lr" in found
    assert warn(history, loss="contrastive") == []


def test_nothing_left_to_learn_names_the_epoch():
    (found,) = warn([row(1), row(2, active=0), row(3, active=0)])
    assert "since epoch 2: nothing left to learn" in found and "head.margin" in found


def test_losses_without_a_margin_learn_from_far_negatives_too():
    assert warn([row(1), row(2, active=0)], loss="infonce", margin=0.0) == []


def test_no_seed_that_gained_is_named():
    (found,) = no_gain_warning([0, 0, 0], select="top2", where="head")
    assert "untrained start" in found and "head.lr" in found
    assert no_gain_warning([0, 3], select="top2", where="head") == []
