"""Losses that cannot work with the rest of the settings are refused, in one line that says what to do."""

from typing import get_args

import pytest
from pydantic import ValidationError

from heads.setting_rules import EFFECTS
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
        (
            {"loss": "CircleLoss", "margin": 0.2},
            "loss CircleLoss takes no margin here: set margin to null, loss_args to what its class takes",
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


NO_EFFECT = [
    ("hidden", {"hidden": (8,)}),
    ("hidden", {"hidden": (8,), "model": "pair_bc", "loss": "bce"}),
    ("dropout", {"dropout": 0.1}),
    ("dropout", {"dropout": 0.1, "model": "residual"}),
    ("dropout", {"dropout": 0.1, "model": "pair_mlp", "dim": 8, "loss": "bce"}),
    ("classifier", {"classifier": (8,)}),
    ("dim", {"dim": 8, "model": "residual", "hidden": (8,)}),
    ("dim", {"dim": 8, "model": "membership"}),
    ("dim", {"dim": 8, "model": "identity"}),
    ("dim", {"dim": 8, "model": "pair_bc", "loss": "bce"}),
    ("cosine_weight", {"cosine_weight": 0.5, "model": "identity"}),
    ("noise", {"noise": 0.5, "model": "identity"}),
    ("distance", {"distance": "euclidean", "model": "distance_logit", "loss": "bce"}),
    ("margin", {"margin": 0.2, "loss": "infonce"}),
    ("margin_on", {"margin_on": "squared", "loss": "triplet"}),
    ("temperature", {"temperature": 0.1}),
    ("temperature", {"temperature": 0.1, "loss": "triplet"}),
    ("temperature", {"temperature": 0.1, "loss": "CircleLoss"}),
    ("relative_margin", {"relative_margin": 0.1}),
    ("max_score", {"max_score": 0.9, "negatives": "random:5"}),
    ("components", {"components": 3}),
    ("whitening", {"whitening": 0.5, "transform": "center"}),
    ("ensemble", {"ensemble": True, "seeds": 1}),
    ("code", {"code": "mine.py"}),
]


@pytest.mark.parametrize("key, changes", NO_EFFECT)
def test_a_setting_that_would_do_nothing_is_refused_with_the_value_to_write(key, changes):
    with pytest.raises(ValidationError) as error:
        HeadSettings(features="x", **changes)
    message = error.value.errors()[0]["msg"]
    assert f"{key} has an effect only with" in message and f": set {key} to " in message and "\n" not in message


def test_every_key_of_the_table_is_a_setting_and_is_tried_here():
    assert set(EFFECTS) == {key for key, _ in NO_EFFECT} <= set(HeadSettings.model_fields)


@pytest.mark.parametrize("key, value", [("lr", True), ("seeds", True), ("hidden", [True]), ("margin", False)])
def test_true_is_no_number(key, value):
    with pytest.raises(ValidationError, match="a number is meant"):
        HeadSettings.model_validate({"features": "x", "model": "mlp", key: value})


@pytest.mark.parametrize("changes", [{"lr": float("inf")}, {"loss": "CircleLoss", "loss_args": {"m": float("nan")}}])
def test_numbers_are_finite(changes):
    with pytest.raises(ValidationError, match="finite"):
        HeadSettings.model_validate({"features": "x"} | changes)


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
