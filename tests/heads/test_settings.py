"""Losses that cannot work with the rest of the settings are refused, in one line that says what to do."""

from typing import get_args

import pytest
from pydantic import ValidationError

from heads.settings import LIBRARY_LOSSES, OTHER_NAMES, HeadSettings, OwnLoss


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"loss": "bce"},
            "loss bce needs a probability of a pair, which model linear does not give: "
            "choose model pair_bc, pair_mlp, distance_logit or pseudo_class",
        ),
        (
            {"loss": "cross_entropy", "model": "pair_mlp"},
            "loss cross_entropy cannot use the logits of model pair_mlp: choose loss bce, triplet, infonce or supcon",
        ),
        (
            {"loss": "CircleLoss", "model": "distance_logit"},
            "loss CircleLoss cannot use the logits of model distance_logit: choose loss bce, triplet",
        ),
        (
            {"loss": "CircleLoss", "distance": "euclidean"},
            "loss CircleLoss is made for cosines: set distance to cosine",
        ),
        (
            {"loss": "CircleLoss", "negatives": "random:19"},
            "loss CircleLoss has no negatives to choose: set negatives to in_batch",
        ),
        (
            {"loss": "cross_entropy", "negatives": "offline:5"},
            "loss cross_entropy has no negatives to choose: set negatives to in_batch",
        ),
        ({"components": 3}, "components and whitening are of transform whiten: set that, or leave them null and 1.0"),
        ({"transform": "center", "whitening": 0.5}, "components and whitening are of transform whiten: set that, or"),
        ({"loss": "infonce", "margin": 0.2}, "loss infonce takes no margin here: set margin to null"),
        (
            {"loss": "CircleLoss", "margin": 0.2},
            "loss CircleLoss takes no margin here: set margin to null, loss_args to what its class takes",
        ),
        (
            {"loss": "triplet", "margin_on": "squared"},
            "margin_on squared is a spelling of contrastive, not of triplet: set it to distance",
        ),
        (
            {"loss_args": {"every_negativ": True}},
            "loss_args: contrastive has no argument 'every_negativ'; did you mean 'every_negative'?",
        ),
        (
            {"loss": "triplet", "loss_args": {"angle": 40}},
            "loss_args: triplet has no argument 'angle'; known: none",
        ),
        ({"loss_args": {"every_negative": 1}}, "loss_args: every_negative is 1: give true or false"),
        ({"loss": "angular"}, "'angular' is 'AngularLoss' here"),
        ({"loss": "SupConLoss"}, "'SupConLoss' is 'supcon' here"),
    ],
)
def test_what_cannot_work_is_refused(changes, message):
    with pytest.raises(ValidationError) as error:
        HeadSettings(features="x", **changes)
    said = error.value.errors()[0]["msg"]
    assert said.startswith(f"Value error, {message}") and "\n" not in said


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "bce", "model": "pseudo_class"},
        {"loss": "infonce", "distance": "euclidean"},
        {"loss": "supcon", "model": "pair_bc", "negatives": "random:19"},
        {"loss": "ProxyAnchorLoss", "loss_args": {"alpha": 16}},
        {"loss": "CircleLoss", "loss_args": {"m": 0.4, "gamma": 80}},
    ],
)
def test_what_works_is_let_through(changes):
    assert HeadSettings(features="x", **changes).loss == changes["loss"]


def test_own_arguments_complete_those_given():
    assert HeadSettings(features="x").arguments == {"every_negative": False}
    assert HeadSettings(features="x", loss_args={"every_negative": True}).arguments == {"every_negative": True}


def test_other_names_are_no_losses_and_name_one():
    assert not set(OTHER_NAMES) & {*get_args(OwnLoss), *LIBRARY_LOSSES}
    assert set(OTHER_NAMES.values()) <= {*get_args(OwnLoss), *LIBRARY_LOSSES}
