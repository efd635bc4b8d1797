import json
from dataclasses import replace

import pytest
import torch
from seeded_heads import seeded_heads
from torch import nn

from heads.calibration import Calibration
from heads.errors import HeadError
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
    write(tmp_path, replace(trained(), settings=settings, transform=transform, heads=heads))
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
    with pytest.raises(HeadError, match="damaged head"):
        load_head(tmp_path)


def test_weights_of_another_model(tmp_path):
    write(tmp_path, trained())
    about = json.loads((tmp_path / "head.json").read_text())
    about["settings"]["hidden"] = [7]
    (tmp_path / "head.json").write_text(json.dumps(about))
    with pytest.raises(HeadError, match="weights and settings do not fit together"):
        load_head(tmp_path)
