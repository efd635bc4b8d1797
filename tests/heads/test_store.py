import json
from contextlib import suppress
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from edited_head import edit_head
from seeded_heads import seeded_heads
from torch import nn

from heads.calibration import Calibration
from heads.errors import HeadError
from heads.head_json import HeadJson
from heads.models.transforms import fit_transform
from heads.settings import HeadSettings
from heads.store import TrainedHead, dump_head, load_head


def trained(*, groups: int = 2, **changes) -> TrainedHead:
    settings = HeadSettings(**{"features": "x", "model": "mlp", "hidden": (5,), "transform": "center", **changes})
    train = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    return TrainedHead(
        settings=settings,
        width=8,
        groups=groups,
        transform=fit_transform("center", train),
        heads=seeded_heads(settings, 8, train=train, groups=groups, std=0.3),
        thresholds=[0.25] * settings.seeds,
        calibration=Calibration(threshold=0.25, slope=5.0, intercept=-1.0),
        best_epochs=[3] * settings.seeds,
        features_sha256="f",
        images_hash="i",
        protocol_sha256="p",
    )


def write(folder, head: TrainedHead) -> None:
    for name, content in dump_head(head).items():
        (folder / name).write_bytes(content)


def test_round_trip_gives_equal_similarities(tmp_path):
    head, x = trained(), torch.randn(6, 8)
    write(tmp_path, head)
    loaded = load_head(tmp_path)
    rows = torch.arange(6)
    for ours, theirs in zip(head.similarities(x), loaded.similarities(x), strict=True):
        assert torch.equal(ours.block(rows, rows), theirs.block(rows, rows))
        torch.testing.assert_close(ours.pairs(rows, rows.flip(0)), ours.block(rows, rows.flip(0)).diagonal())
    assert loaded.thresholds == [0.25] * 3 and loaded.protocol_sha256 == "p"
    assert loaded.calibration == head.calibration


def test_a_head_on_some_principal_directions_comes_back(tmp_path):
    train, settings = torch.randn(40, 8), HeadSettings(features="x", transform="whiten", components=3, seeds=1)
    transform = fit_transform("whiten", train, components=3)
    heads = seeded_heads(settings, 3, train=transform(train), std=0.3)
    changes = {"settings": settings, "transform": transform, "heads": heads, "thresholds": [0.25], "best_epochs": [3]}
    write(tmp_path, replace(trained(), **changes))
    x = torch.randn(6, 8)
    embeddings = load_head(tmp_path).embeddings(x)
    assert embeddings.shape == (1, 6, 3)
    torch.testing.assert_close(embeddings[0], heads[0](transform(x)))


def test_equal_heads_give_equal_bytes():
    assert dump_head(trained()) == dump_head(trained())


def test_a_membership_head_finds_its_groups_again(tmp_path):
    head = trained(model="membership", cosine_weight=0.5, groups=4)
    write(tmp_path, head)
    x = torch.randn(6, 8)
    assert torch.equal(load_head(tmp_path).embeddings(x), head.embeddings(x))


def test_a_pickle_is_refused(tmp_path):
    write(tmp_path, trained())
    torch.save(nn.ModuleList(trained().heads).state_dict(), tmp_path / "head.safetensors")
    with pytest.raises(HeadError, match="damaged head"):
        load_head(tmp_path)


def test_features_of_another_width(tmp_path):
    with pytest.raises(HeadError, match="trained on features of width 8, these have 9"):
        trained().similarities(torch.randn(3, 9))


def test_no_head(tmp_path):
    with pytest.raises(HeadError, match=r"head\.json: no trained head here: run `dvc repro train`"):
        load_head(tmp_path)


@pytest.mark.parametrize("name", ["head.json", "head.safetensors"])
def test_damaged_head(tmp_path, name):
    write(tmp_path, trained())
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(HeadError, match=rf"{name}: damaged head"):
        load_head(tmp_path)


@pytest.mark.parametrize("name", ["head.json", "head.safetensors"])
def test_one_changed_bit_anywhere_is_said(tmp_path, name):
    write(tmp_path, trained())
    content = (tmp_path / name).read_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(HeadError, match=rf"{name}: (damaged head|of another version)") as error:
            load_head(tmp_path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "key", [*HeadJson.model_fields, "calibration.threshold", "calibration.slope", "calibration.intercept"]
)
def test_a_value_of_another_kind_is_one_line(tmp_path, key):
    write(tmp_path, trained())
    section, _, inner = key.partition(".")
    whole = json.loads((tmp_path / "head.json").read_text())[section]
    for value in ("abc", None, [], ["abc"], [None], {}, True, -1, 10**400, float("nan"), float("inf"), [10**400] * 3):
        edit_head(tmp_path, **{section: whole | {inner: value} if inner else value})
        with suppress(HeadError):  # -1 may be a threshold, "abc" a hash
            loaded = load_head(tmp_path)
            assert np.isfinite([*loaded.thresholds, *asdict(loaded.calibration).values()]).all()
            assert value in ("abc", -1, True), value


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"thresholds": "abc"}, "thresholds"),
        ({"thresholds": None}, "thresholds"),
        ({"thresholds": [0.25, 0.25]}, "2 thresholds"),
        ({"thresholds": [0.25, 0.25, float("nan")]}, "thresholds"),
        ({"calibration": {"threshold": 0.25, "slope": -1.0, "intercept": 0.0}}, "slope"),
        ({"calibration": {"threshold": 0.25, "slope": float("inf"), "intercept": 0.0}}, "slope"),
        ({"best_epochs": [3]}, "1 epochs"),
        ({"settings": {"features": "x", "model": "no such"}}, "settings.model"),
        ({"later": 1}, "later"),
    ],
)
def test_values_are_checked(tmp_path, changes, said):
    write(tmp_path, trained())
    edit_head(tmp_path, **changes)
    with pytest.raises(HeadError, match=rf"head\.json: damaged head \(.*{said}.*repro"):
        load_head(tmp_path)


@pytest.mark.parametrize("content", ["", "null", "[]", "3", '"abc"', "[" * 100_000, '{"a": ' + "9" * 9000 + "}"])
def test_something_else_than_a_head_is_one_line(tmp_path, content):
    write(tmp_path, trained())
    (tmp_path / "head.json").write_text(content)
    with pytest.raises(HeadError, match=r"head\.json: damaged head .*repro"):
        load_head(tmp_path)


def test_a_head_of_another_version_is_told_from_a_damaged_one(tmp_path):
    write(tmp_path, trained())
    about = json.loads((tmp_path / "head.json").read_text())
    del about["sha256"]
    (tmp_path / "head.json").write_text(json.dumps(about))
    with pytest.raises(HeadError, match=r"of another version.* `dvc repro`$"):
        load_head(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["head", "transform"])
def test_weights_that_are_no_numbers_are_refused(tmp_path, part, value):
    head = trained()
    tensor = head.heads[1].project.bias if part == "head" else head.transform.mean
    with torch.no_grad():
        tensor[0] = value
    write(tmp_path, head)
    with pytest.raises(HeadError, match=r"not finite.*repro"):
        load_head(tmp_path)


def test_weights_of_another_model(tmp_path):
    write(tmp_path, trained())
    settings = json.loads((tmp_path / "head.json").read_text())["settings"]
    for changes in ({"hidden": [7]}, {"hidden": [65_536, 65_536]}, {"transform": "whiten"}):
        edit_head(tmp_path, settings=settings | changes)
        with pytest.raises(HeadError, match="weights and settings do not fit together"):
            load_head(tmp_path)
    edit_head(tmp_path, width=65_536)
    with pytest.raises(HeadError, match="weights and settings do not fit together"):
        load_head(tmp_path)
