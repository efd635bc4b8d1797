"""Metrics belong to params only if dvc.lock says that a run of these params made them."""

import copy
import hashlib

import pytest

from pipeline.runs.lock import flat, is_result, lookup

METRICS = b'{"top2": 0.9}'
PARAMS = {"seed": 0, "data": {"name": "emoji"}, "head": {"loss": "triplet", "lr": 0.1}}
LOCK = {
    "stages": {
        "prepare": {
            "params": {"params.yaml": {"data": {"name": "emoji"}}},
            "outs": [{"path": "artifacts/emoji/rows", "md5": "r"}],
        },
        "train": {
            "params": {"params.yaml": {"seed": 0, "head": {"loss": "triplet", "lr": 0.1}}},
            "deps": [{"path": "artifacts/emoji/rows", "md5": "r"}, {"path": "heads", "md5": "code"}],
            "outs": [{"path": "artifacts/emoji/head", "md5": "h"}],
        },
        "evaluate": {
            "deps": [{"path": "artifacts/emoji/head", "md5": "h"}],
            "outs": [{"path": "metrics.json", "md5": hashlib.md5(METRICS, usedforsecurity=False).hexdigest()}],
        },
        "extract@other": {"params": {"params.yaml": {"backbones.other": {"pixels": 3}}}, "outs": []},
    }
}


def test_a_run_of_these_params():
    assert is_result(METRICS, PARAMS, LOCK)


@pytest.mark.parametrize(
    ("stage", "key", "value"),
    [
        ("train", "params", {"params.yaml": {"head": {"loss": "supcon", "lr": 0.1}}}),  # params were edited
        ("prepare", "params", {"params.yaml": {"data": {"name": "mnist"}}}),
        ("train", "outs", [{"path": "artifacts/emoji/head", "md5": "newer"}]),  # trained again, not evaluated
        ("prepare", "outs", [{"path": "artifacts/emoji/rows", "md5": "newer"}]),
        ("evaluate", "outs", []),
    ],
)
def test_anything_else(stage, key, value):
    lock = copy.deepcopy(LOCK)
    lock["stages"][stage][key] = value
    assert not is_result(METRICS, PARAMS, lock)


def test_metrics_of_another_run_and_no_lock():
    assert not is_result(b'{"top2": 1.0}', PARAMS, LOCK)
    assert not is_result(METRICS, PARAMS, {})
    assert not is_result(METRICS, PARAMS, {"stages": {}})


def test_dotted_keys():
    assert flat(PARAMS) == {"seed": 0, "data.name": "emoji", "head.loss": "triplet", "head.lr": 0.1}
    assert lookup(PARAMS, "head.lr") == 0.1 and lookup(PARAMS, "head.lr.x") is None and lookup(PARAMS, "nope") is None
