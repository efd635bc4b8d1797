"""A loss of the user's own, from a module on PYTHONPATH."""

import numpy as np
import pytest
import torch

from heads import train_head
from heads.errors import HeadError
from heads.losses.user import UserLoss
from heads.settings import HeadSettings

MODULE = """
import torch
from heads.losses.similarity_losses import triplet

def same_as_triplet(similarity, positives, negatives, *, margin=0.2):
    return triplet(similarity, positives, negatives, margin=margin)

def of_embeddings(embeddings, labels):
    return (embeddings.square().sum(1) - 1).square().mean()

class Learned(torch.nn.Module):
    def __init__(self, start=1.0):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(start))
    def forward(self, similarity, positives, negatives):
        return triplet(self.scale * similarity, positives, negatives, margin=0.2)

def broken(similarity, positives, negatives):
    return similarity.nothing()

def vector(similarity, positives, negatives):
    return similarity.mean(1)

def other_names(a, b):
    return a
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "my_losses.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "my_losses", raising=False)


def trained(**settings):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(30), 4)
    features = rng.normal(size=(30, 8))[labels] + rng.normal(size=(120, 8))
    few = {"epochs": 2, "batch": 32, "lr": 0.01, "seeds": 1}
    return train_head(features, labels, few | settings).heads[0].state_dict()


def test_it_trains_as_the_loss_that_it_is():
    ours = trained(loss="my_losses:same_as_triplet", loss_args={"margin": 0.4})
    theirs = trained(loss="triplet", margin=0.4)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_embeddings_and_labels_and_modules():
    assert trained(loss="my_losses:of_embeddings")
    loss = UserLoss(HeadSettings(features="", loss="my_losses:Learned", loss_args={"start": 2.0}))
    assert [parameter.item() for parameter in loss.parameters()] == [2.0]
    assert trained(loss="my_losses:Learned")


@pytest.mark.parametrize(
    "loss, words",
    [
        ("no_such_module:x", "no module 'no_such_module'"),
        ("my_losses:missing", "no function 'missing'"),
        ("my_losses:other_names", "name its first parameters"),
        ("my_losses:broken", "my_losses:broken: AttributeError"),
        ("my_losses:vector", "must return a scalar"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(loss, words):
    with pytest.raises(HeadError, match=words) as error:
        trained(loss=loss)
    assert "\n" not in str(error.value)


def test_unknown_arguments_are_refused():
    with pytest.raises(HeadError, match=r"my_losses:same_as_triplet: .*'margn'"):
        trained(loss="my_losses:same_as_triplet", loss_args={"margn": 1})
