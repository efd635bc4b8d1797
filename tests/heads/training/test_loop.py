import time

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from heads.errors import HeadError
from heads.settings import HeadSettings
from heads.training.loop import Trained
from heads.training.samplers import make_training_set
from heads.training.seeds import for_each_seed, train_heads
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
    hidden = () if changes.get("model", "linear") in ("identity", "linear", "pair_bc") else (8,)
    return HeadSettings(
        **{"features": "x", "epochs": 8, "batch": 64, "lr": 0.01, "seeds": 2, "patience": 50, "hidden": hidden}
        | changes
    )


def train(heads: HeadSettings, *, seed: int = 0, paired: bool = True, validate=None) -> list[Trained]:
    inputs, labels, sides = pairs_world()
    training_set = make_training_set(np.arange(TRAIN), labels[:TRAIN], sides[:TRAIN] if paired else None, images=2)
    validate = validate or epoch_score(
        inputs, labels, heads, queries=np.arange(TRAIN, 480, 2), gallery=np.arange(TRAIN + 1, 480, 2), candidates=10
    )
    return train_heads(inputs, training_set, heads, seed=seed, validate=validate)


@pytest.mark.parametrize("loss", ["contrastive", "triplet"])
@pytest.mark.parametrize("negatives", ["in_batch", "random:5", "hard", "semihard", "offline:5"])
@pytest.mark.parametrize("paired", [True, False])
def test_training_beats_the_start_and_never_ends_below_it(loss, negatives, paired):
    for one in train(settings(loss=loss, negatives=negatives), paired=paired):
        assert one.history[one.best]["val_top2"] >= one.history[0]["val_top2"] + 0.03


@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean"])
@pytest.mark.parametrize("model", ["linear", "mlp", "residual"])
def test_every_model_and_distance_trains(model, distance):
    trained = train(settings(model=model, distance=distance, loss="triplet"))[0]
    first, last = trained.history[1]["loss"], trained.history[8]["loss"]
    assert np.isfinite(last) and last < first


@pytest.mark.parametrize("negatives", ["in_batch", "random:5", "offline:5"])
@pytest.mark.parametrize("model", ["linear", "residual"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_seed_has_the_same_bytes_alone_and_beside_others(model, negatives, threads):
    changes = {
        "model": model,
        "negatives": negatives,
        "dropout": 0.2 * (model != "linear"),
        "patience": 2,
        "noise": 0.1,
    }
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = train(settings(seeds=3, **changes), seed=5)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for s in range(3):
        (alone,) = train(settings(seeds=1, **changes), seed=5 + s)
        assert alone.best == together[s].best
        for name, value in alone.head.state_dict().items():
            assert torch.equal(value, together[s].head.state_dict()[name])


def test_same_seed_same_bytes():
    a, b = train(settings())[0], train(settings())[0]
    assert str(a.history) == str(b.history)
    assert all(torch.equal(v, b.head.state_dict()[k]) for k, v in a.head.state_dict().items())


def test_a_head_that_does_not_improve_is_returned_as_it_started():
    for one in train(settings(patience=3), validate=lambda head: 0.5):
        assert one.best == 0 and [row["epoch"] for row in one.history] == [0, 1, 2, 3]  # patience, then stop
        assert torch.equal(one.head.state_dict()["project.weight"], torch.eye(WIDTH))


def test_rows_of_the_history_name_their_seed():
    assert [{row["seed"] for row in one.history} for one in train(settings(epochs=1))] == [{0}, {1}]


def test_identity_needs_no_training():
    assert [(one.best, len(one.history)) for one in train(settings(model="identity"))] == [(0, 1), (0, 1)]


def test_a_loss_that_blows_up_is_one_line():
    with pytest.raises(HeadError, match=r"the loss became .*: lower head\.lr"):
        train(settings(lr=1e30, distance="squared_euclidean", schedule="constant"))


def test_the_first_failure_stops_the_other_seeds():
    reports = []

    def one(number: int, report) -> int:
        if number == 0:
            raise HeadError("seed 0 failed")
        for _ in range(2000):
            report(1, 0.0)
            time.sleep(0.001)
        return number

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(HeadError, match="seed 0 failed"):
            for_each_seed(one, 4, report=lambda batches, loss: reports.append(batches), device=torch.device("cpu"))
    finally:
        torch.set_num_threads(before)
    assert len(reports) < 1000


def test_views_are_used_in_training_only():
    inputs, labels, sides = pairs_world()
    training_set = make_training_set(np.arange(TRAIN), labels[:TRAIN], sides[:TRAIN], images=2)

    def run(views):
        trained = train_heads(
            *(inputs, training_set, settings(epochs=2)), seed=0, validate=lambda head: 0.0, views=views
        )
        return str([one.history for one in trained])

    assert run(None) == run(inputs.unsqueeze(1)) != run(torch.stack([inputs, inputs.flip(1)], 1))
