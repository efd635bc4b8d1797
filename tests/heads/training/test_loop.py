import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from heads.errors import HeadError
from heads.settings import HeadSettings
from heads.training.loop import train_heads
from heads.training.samplers import make_pool
from heads.training.selection import epoch_score

GROUPS, WIDTH = 240, 16
TRAIN = 400  # rows: the first 200 pairs


def pairs_world(seed: int = 0):
    """Pairs that agree in half of the columns; the other half is louder noise, which a head must learn to ignore."""
    draw = torch.Generator().manual_seed(seed)
    signal = torch.randn(GROUPS, 1, WIDTH // 2, generator=draw).expand(-1, 2, -1)
    noise = 2 * torch.randn(GROUPS, 2, WIDTH // 2, generator=draw)
    inputs = normalize(torch.cat([signal, noise], 2).reshape(2 * GROUPS, WIDTH), dim=1)
    return inputs, np.repeat(np.arange(GROUPS), 2), np.tile([0, 1], GROUPS)


def settings(**changes) -> HeadSettings:
    return HeadSettings(
        **{"features": "x", "epochs": 8, "batch": 64, "lr": 0.01, "seeds": 2, "patience": 50, "hidden": (8,), **changes}
    )


def train(heads: HeadSettings, *, seed: int = 0, paired: bool = True, validate=None):
    inputs, codes, sides = pairs_world()
    pool = make_pool(np.arange(TRAIN), codes[:TRAIN], sides[:TRAIN] if paired else None, images=2)
    validate = validate or epoch_score(
        inputs, codes, heads, queries=np.arange(TRAIN, 480, 2), gallery=np.arange(TRAIN + 1, 480, 2), candidates=10
    )
    return train_heads(inputs, pool, heads, seed=seed, validate=validate)


@pytest.mark.parametrize("loss", ["contrastive", "triplet"])
@pytest.mark.parametrize("negatives", ["in_batch", "random:5", "hard", "semihard", "offline:5"])
@pytest.mark.parametrize("paired", [True, False])
def test_training_beats_the_start_and_never_ends_below_it(loss, negatives, paired):
    trained = train(settings(loss=loss, negatives=negatives), paired=paired)
    scores = {(row["seed"], row["epoch"]): row["val_top2"] for row in trained.history}
    for s in (0, 1):
        assert scores[s, trained.best[s]] >= scores[s, 0] + 0.03


@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean"])
@pytest.mark.parametrize("model", ["linear", "mlp", "residual"])
def test_every_model_and_distance_trains(model, distance):
    trained = train(settings(model=model, distance=distance, loss="triplet"))
    first, last = trained.history[1]["loss"], trained.history[8]["loss"]
    assert np.isfinite(last) and last < first


@pytest.mark.parametrize("negatives", ["in_batch", "random:5", "offline:5"])
@pytest.mark.parametrize("model", ["linear", "residual"])
def test_a_seed_is_the_same_alone_and_beside_others(model, negatives):
    changes = {"model": model, "negatives": negatives, "dropout": 0.2, "patience": 2, "noise": 0.1, "mixup": 0.2}
    together = train(settings(seeds=3, **changes), seed=5)
    for s in range(3):
        alone = train(settings(seeds=1, **changes), seed=5 + s)
        assert alone.best[0] == together.best[s]
        for name, value in alone.head.state_dict().items():
            torch.testing.assert_close(value[0], together.head.state_dict()[name][s], atol=1e-5, rtol=1e-4)


def test_same_seed_same_bytes():
    a, b = train(settings()), train(settings())
    assert str(a.history) == str(b.history)
    assert all(torch.equal(v, b.head.state_dict()[k]) for k, v in a.head.state_dict().items())


def test_a_head_that_does_not_improve_is_returned_as_it_started():
    trained = train(settings(patience=3), validate=lambda head: [0.5, 0.5])
    assert trained.best == [0, 0]
    assert torch.equal(trained.head.state_dict()["project.weight"][0], torch.eye(WIDTH))
    assert max(row["epoch"] for row in trained.history) == 3  # patience, then stop


def test_identity_needs_no_training():
    trained = train(settings(model="identity"))
    assert trained.best == [0, 0] and len(trained.history) == 2


def test_a_loss_that_blows_up_is_one_line():
    with pytest.raises(HeadError, match=r"the loss became .*: lower head\.lr"):
        train(settings(lr=1e30, distance="squared_euclidean", schedule="constant"))


def test_views_are_used_in_training_only():
    inputs, codes, sides = pairs_world()
    pool = make_pool(np.arange(TRAIN), codes[:TRAIN], sides[:TRAIN], images=2)
    heads = settings(epochs=2)

    def run(views):
        return train_heads(inputs, pool, heads, seed=0, validate=lambda head: [0.0, 0.0], views=views).history

    plain, one = run(None), run(inputs.unsqueeze(1))
    assert str(plain) == str(one)
    assert str(plain) != str(run(torch.stack([inputs, inputs.flip(1)], 1)))
