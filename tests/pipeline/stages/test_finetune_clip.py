"""The last blocks of a CLIP image tower, trained by the stage `finetune`: a small tower, the code of the large ones."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
from grouped_images import write_groups
from safetensors.torch import load_file

from data.tables.rows import read_rows
from features.backbones.registry import load_backbone
from features.settings import Backbone
from features.storage.features_files import load_features
from pipeline.params import parse_params
from pipeline.stages import extract, finetune

pytestmark = pytest.mark.forward

TOWER = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
START = {"library": "open_clip", "model": "small-tower", "weights": "random"}
FOLDER = Path("artifacts/mnist")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    (tmp_path / "configs").mkdir()
    config = {"embed_dim": 24, "vision_cfg": TOWER, "text_cfg": TEXT}
    (tmp_path / "configs/small-tower.json").write_text(json.dumps(config))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", list(open_clip.factory._MODEL_CONFIG_PATHS))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    open_clip.add_model_config(tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    return write_groups(FOLDER / "images.parquet", noise=120)


def settings(**backbones):
    entry = {"network": START, "layers": "last:2", "loss": "infonce", "batch": 12, "epochs": 8, "lr": 0.003}
    return parse_params(
        {
            "data": {"name": "mnist"},
            "backbones": {"small": START, **backbones},
            "features": {"backbones": ["small"], "batch": 8, "workers": 0, "dtype": "float32"},
            "finetunes": {"mine": entry},
            "head": {"features": "mine", "model": "identity"},
        }
    )


def test_its_last_blocks_alone_train_and_it_is_a_backbone_afterwards(project, capsys):
    finetune.run(settings(), "mine")
    assert "finetune mine: small-tower, infonce loss, 30 images, 8 epochs" in (said := capsys.readouterr().out), said
    weights = FOLDER / "networks/mine/network.safetensors"
    trained, start = load_file(weights), load_backbone("a", Backbone(**START)).module.clip.visual.state_dict()
    moved = {name for name, value in trained.items() if not np.array_equal(value, start[name])}
    assert moved and all(name.startswith(("transformer.resblocks.1.", "ln_post")) for name in moved)
    assert set(trained) == set(start)  # the text tower is left behind
    images_hash = read_rows(project).images_hash
    own = load_features(FOLDER / "features/mine", images_hash=images_hash)
    extract.run(settings(moved={"library": "local", "model": "trained", "weights": str(weights)}), "moved")
    assert own.shape == (48, 24)
    assert np.array_equal(own, load_features(FOLDER / "features/moved", images_hash=images_hash))
