"""Heads from arrays: the training of the pipeline, with val rows of their own."""

import numpy as np
import pytest
import torch

from heads import evaluate, train_head
from heads.errors import HeadError

LABELS = np.repeat([f"class {i:02}" for i in range(40)], 5)
SIGNAL = np.random.default_rng(0).normal(size=(40, 8))[np.repeat(np.arange(40), 5)]
RNG = np.random.default_rng(1)
FEATURES = np.concatenate([SIGNAL + 0.4 * RNG.normal(size=(200, 8)), 2 * RNG.normal(size=(200, 8))], axis=1)
SEEN = np.arange(200) < 150
QUICK = {"loss": "supcon", "epochs": 30, "lr": 0.01, "seeds": 2, "batch": 32}


def test_a_trained_head_is_better_on_new_groups_and_repeatable():
    head, again = (train_head(FEATURES[SEEN], LABELS[SEEN], QUICK) for _ in range(2))
    scores = evaluate(FEATURES[~SEEN], LABELS[~SEEN], head=head)
    assert scores["recall_at_1"].head > scores["recall_at_1"].baseline + 0.1
    rows = torch.from_numpy(FEATURES).float()
    torch.testing.assert_close(head.embeddings(rows), again.embeddings(rows), rtol=0, atol=0)
    assert len(head.thresholds) == 2 and 0 < head.calibration.threshold < 1


def test_val_rows_choose_and_never_train():
    val = np.isin(LABELS, [f"class {i:02}" for i in range(8)])
    head = train_head(FEATURES, LABELS, QUICK, val=val)
    assert head.groups == 32
    changed = np.where(val[:, None], FEATURES[::-1], FEATURES)
    other = train_head(changed, LABELS, QUICK | {"select": "mrr"}, val=val)
    one, two = (dict(each.heads[0].named_parameters()) for each in (head, other))
    assert one.keys() == two.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"loss": "tripplet"}}, "loss"),
        ({"settings": {"colour": 1}}, "colour"),
        ({"labels": LABELS[:-1]}, "199 labels"),
        ({"val": [True]}, "val has 1"),
        ({"features": FEATURES[:20], "labels": LABELS[:20]}, "4 groups.*give `val`"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(HeadError, match=message):
        train_head(**{"features": FEATURES, "labels": LABELS} | changes)


def test_what_went_wrong_in_training_is_a_warning():
    same = 1 + 1e-3 * FEATURES  # all directions are nearly one
    with pytest.warns(UserWarning) as warned:
        train_head(same, LABELS, QUICK | {"epochs": 2})
    assert any("collapsed" in str(one.message) for one in warned)
    with pytest.warns(UserWarning, match=r"no epoch was better.*settings\.lr"):
        train_head(FEATURES, LABELS, QUICK | {"epochs": 1, "lr": 1e-9})
