"""Every loss trains a head on a world whose half is noise: beats the start, each seed as it would alone."""

from typing import get_args

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from heads.settings import HeadSettings, OwnLoss
from heads.training.loop import Trained
from heads.training.samplers import make_training_set
from heads.training.seeds import train_heads
from heads.training.selection import epoch_score

GROUPS, WIDTH, TRAIN = 240, 16, 400
OTHERS = [name for name in get_args(OwnLoss) if name not in ("contrastive", "triplet", "bce")]


def train(*, seed: int = 0, paired: bool = True, **changes) -> list[Trained]:
    """Pairs agree in half of the columns; the other half is louder noise, which a head must learn to ignore."""
    draw = torch.Generator().manual_seed(0)
    signal = torch.randn(GROUPS, 1, WIDTH // 2, generator=draw).expand(-1, 2, -1)
    noise = 2 * torch.randn(GROUPS, 2, WIDTH // 2, generator=draw)
    inputs = normalize(torch.cat([signal, noise], 2).reshape(2 * GROUPS, WIDTH), dim=1)
    labels, sides = 3 * np.repeat(np.arange(GROUPS), 2) + 7, np.tile([0, 1], GROUPS)  # labels need not count from 0
    few = {"epochs": 8, "batch": 64, "lr": 0.01, "seeds": 2, "patience": 50, **changes}
    settings = HeadSettings(features="x", **few)
    training_set = make_training_set(np.arange(TRAIN), labels[:TRAIN], sides[:TRAIN] if paired else None, images=2)
    queries, gallery = np.arange(TRAIN, 2 * GROUPS, 2), np.arange(TRAIN + 1, 2 * GROUPS, 2)
    validate = epoch_score(inputs, labels, settings, queries=queries, gallery=gallery, candidates=10)
    return train_heads(inputs, training_set, settings, seed=seed, validate=validate)


def gains(trained: list[Trained], *, score: str = "val_top2") -> list[float]:
    """Of each seed: the best epoch's score less the start's."""
    return [one.history[one.best][score] - one.history[0][score] for one in trained]


@pytest.mark.parametrize("loss, paired", [*((name, True) for name in OTHERS), ("supcon", False), ("CircleLoss", False)])
def test_training_beats_the_start(loss, paired):
    assert min(gains(train(loss=loss, paired=paired))) > 0.04


@pytest.mark.parametrize(
    "loss, negatives",
    [("infonce", "random:5"), ("supcon", "offline:5"), ("infonce", "hard"), ("supcon", "semihard")],
)
def test_losses_with_negatives_take_every_kind_of_them(loss, negatives):
    assert min(gains(train(loss=loss, negatives=negatives))) > 0.04


@pytest.mark.parametrize("changes", [{"margin_on": "squared"}, {"margin_on": "squared", "distance": "euclidean"}])
def test_contrastive_on_the_square_beats_the_start(changes):
    assert min(gains(train(**changes))) > 0.04


@pytest.mark.parametrize("loss, distance", [("infonce", "euclidean"), ("cross_entropy", "squared_euclidean")])
def test_softmax_losses_take_distances(loss, distance):
    assert min(gains(train(loss=loss, distance=distance))) > 0.04


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "pair_mlp", "classifier": (16,), "epochs": 10},
        {"model": "distance_logit", "dim": 16},
        {"model": "pseudo_class", "dim": 32, "lr": 0.1},
    ],
)
def test_bce_trains_what_gives_a_probability(changes):
    trained = train(loss="bce", **changes)
    assert max(gains(trained)) > 0.04
    epochs = [row["loss"] for row in trained[0].history]
    assert epochs[-1] < epochs[1]


@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_memberships_learn_the_groups_of_training(keep):
    """Classes of 40 images, told apart by half of the columns: the other half is louder noise."""
    draw = torch.Generator().manual_seed(0)
    labels = np.tile(np.arange(5), 80)
    signal = torch.randn(5, WIDTH // 2, generator=draw)[labels]
    inputs = normalize(torch.cat([signal, 2 * torch.randn(400, WIDTH // 2, generator=draw)], 1), dim=1)
    settings = HeadSettings(
        features="x", model="membership", loss="cross_entropy", cosine_weight=keep, batch=40, images_per_group=4,
        lr=0.05,        epochs=8, seeds=2, select="top1",
    )  # fmt: skip
    training_set = make_training_set(np.arange(300), labels[:300], None, images=4)
    validate = epoch_score(
        inputs, labels, settings, queries=np.arange(300, 400), gallery=np.arange(300, 400), candidates=5
    )
    trained = train_heads(inputs, training_set, settings, seed=0, validate=validate)
    assert min(gains(trained, score="val_top1")) > 0.1
    for one in trained:
        membership = one.head.sqrt_membership(one.head(inputs[300:]))
        assert (membership.argmax(1).numpy() == labels[300:]).mean() > 0.9


@pytest.mark.parametrize("loss", ["infonce", "cross_entropy", "ProxyAnchorLoss", "MarginLoss"])
def test_a_seed_of_a_loss_that_learns_or_draws_has_the_same_bytes_alone_and_beside_others(loss):
    arguments = {"triplets_per_anchor": 3} if loss == "MarginLoss" else {}
    changes = {"loss": loss, "model": "mlp", "hidden": (8,), "dropout": 0.2, "epochs": 3, "loss_args": arguments}
    together = train(seeds=3, seed=5, **changes)
    (alone,) = train(seeds=1, seed=7, **changes)
    assert alone.best == together[2].best
    assert [row["loss"] for row in alone.history][1:] == [row["loss"] for row in together[2].history][1:]
    for name, value in alone.head.state_dict().items():
        assert torch.equal(value, together[2].head.state_dict()[name])
