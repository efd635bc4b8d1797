"""The stage `finetune`: a network trained on small images, its features, and the network named for another data set."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from grouped_images import write_groups
from safetensors.numpy import load_file

from data.tables.rows import read_rows
from features.backbones.registry import load_backbone
from features.errors import FeatureError
from features.settings import Backbone
from features.storage.features_files import load_features, read_sidecar
from pipeline.commands import verify
from pipeline.errors import ParamError
from pipeline.params import Params, parse_params
from pipeline.stages import extract, finetune

pytestmark = pytest.mark.forward

ENTRY = {
    "network": {"library": "local", "model": "conv4", "weights": "random", "pixels": 16},
    "augment": {"shift": 0.1},
    "loss": "infonce",
    "batch": 12,
    "epochs": 2,
    "lr": 0.01,
    "select": "top1",
}
STAGES = {"library": "timm", "model": "resnet10t", "weights": "random", "pixels": 32, "output": "grid", "stages": [1]}
FOLDER = Path("artifacts/mnist")


def settings(**changes) -> Params:
    raw = {
        "data": {"name": "mnist"},
        "backbones": {"small": {"library": "local", "model": "conv4", "weights": "random", "pixels": 16}},
        "features": {"backbones": ["small"], "batch": 8, "workers": 0},
        "finetunes": {"mine": ENTRY},
        "head": {"features": "mine", "model": "identity"},
    }
    return parse_params(raw | changes)


def entry(**changes) -> Params:
    return settings(finetunes={"mine": ENTRY | changes})


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    return write_groups(FOLDER / "images.parquet")


def files() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(FOLDER.rglob("*")) if path.is_file()}


def test_a_features_directory_like_any_other_and_the_network(project, capsys):
    finetune.run(settings(), "mine")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("finetune mine: conv4, infonce loss, 30 images, 2 epochs: val_top1 0.")
    assert lines[0].endswith(" steps/s on cpu")
    assert lines[1] == "finetune mine: 48 images, 48 run -> artifacts/mnist/features/mine [48, 64]"
    loaded = load_features(FOLDER / "features/mine", images_hash=read_rows(project).images_hash)
    assert loaded.shape == (48, 64)
    provenance = read_sidecar(FOLDER / "features/mine").provenance
    assert set(provenance) == {
        "device",
        "dtype",
        "finetune",
        "preprocess",
        "seed",
        "versions",
        "views",
        "weights_sha256",
    }
    history = (FOLDER / "networks/mine/history.csv").read_text().splitlines()
    assert history[0] == "seed,epoch,loss,val_top1,std,active" and len(history) == 4


def test_turned_groups_train_too_and_features_are_of_images_as_they_are(project, capsys):
    finetune.run(entry(augment={"rotations": True}), "mine")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("finetune mine: conv4, infonce loss, 30 images in 4 rotations, 2 epochs: val_top1 0.")
    assert lines[1] == "finetune mine: 48 images, 48 run -> artifacts/mnist/features/mine [48, 64]"


def test_twice_gives_equal_bytes_with_and_without_the_cache(project, monkeypatch, capsys):
    finetune.run(settings(), "mine")
    before = files()
    finetune.run(settings(), "mine")
    assert files() == before
    assert "resumed after epoch 2, from the scratch cache" in capsys.readouterr().out
    monkeypatch.setenv("LOOKALIKE_CACHE", "another")
    finetune.run(settings(), "mine")
    assert files() == before and "went on" not in capsys.readouterr().out


def test_half_a_checkpoint_of_a_killed_run_is_removed(project):
    part = Path(os.environ["LOOKALIKE_CACHE"], "finetune", ".killed.checkpoint.00000000-1.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    os.utime(part, (0, 0))
    finetune.run(settings(), "mine")
    assert not part.exists() and list(part.parent.iterdir())


def test_other_settings_seed_or_code_start_anew_and_patience_does_not(project, monkeypatch, capsys):
    finetune.run(settings(), "mine")
    for params in (entry(lr=0.02), settings(seed=1)):
        capsys.readouterr()
        finetune.run(params, "mine")
        assert "went on" not in capsys.readouterr().out
    finetune.run(entry(patience=3), "mine")
    assert "resumed after epoch 2" in capsys.readouterr().out
    monkeypatch.setattr(finetune, "fingerprint", lambda names: "edited")
    finetune.run(settings(), "mine")
    assert "went on" not in capsys.readouterr().out


def test_the_network_is_a_backbone_for_another_data_set(project, tmp_path):
    finetune.run(settings(), "mine")
    kept = tmp_path / "kept"
    shutil.copytree(FOLDER / "networks/mine", kept)
    own = load_features(FOLDER / "features/mine", images_hash=read_rows(project).images_hash)
    named = {"library": "local", "model": "trained", "weights": str(kept / "network.safetensors")}
    params = settings(backbones={"moved": named}, features={"backbones": ["moved"], "batch": 8, "dtype": "float32"})
    extract.run(params, "moved")
    moved = load_features(FOLDER / "features/moved", images_hash=read_rows(project).images_hash)
    assert np.array_equal(own, moved)
    wrong = params.model_copy(
        update={"backbones": {"moved": params.backbones["moved"].model_copy(update={"pixels": 32})}}
    )
    with pytest.raises(FeatureError, match=r"^backbones.moved.pixels: the network was trained at 16; leave it empty$"):
        extract.run(wrong, "moved")


def test_a_linear_layer_on_top_is_part_of_the_network(project):
    finetune.run(entry(dim=3), "mine")
    assert json.loads((FOLDER / "networks/mine/network.json").read_text())["dim"] == 3
    assert read_sidecar(FOLDER / "features/mine").shape == (48, 3)


def test_verify(project, capsys):
    finetune.run(settings(), "mine")
    capsys.readouterr()
    verify.run(settings())
    assert capsys.readouterr().out == "verify mine: sidecar, and 32 rows made again, agree\n"
    with pytest.raises(FeatureError, match=r"features/mine: made with another finetune than params.yaml gives now"):
        verify.run(entry(lr=0.5))
    (FOLDER / "networks/mine/network.safetensors").unlink()
    with pytest.raises(FeatureError, match=r"finetunes.mine.weights: no file"):
        verify.run(settings())


def test_layers_that_nothing_goes_through(project):
    told = r"^finetunes.mine.layers: nothing of network.layer4 leads to the features; name earlier layers$"
    with pytest.raises(FeatureError, match=told):
        finetune.run(entry(network=STAGES, layers=["network.layer4"]), "mine")


def test_the_layer_on_top_trains_alone_on_stages(project):
    network = STAGES | {"std_pool": True}
    finetune.run(entry(network=network, dim=3, layers=["projection"]), "mine")
    trained = load_file(FOLDER / "networks/mine/network.safetensors")
    came = load_backbone("a", Backbone(**network)).module.state_dict()
    projection = {name for name in trained if name.startswith("projection.")}
    assert projection == {"projection.weight", "projection.bias"} and set(trained) - projection == {
        f"network.{name}" for name in came
    }
    assert all(np.array_equal(value, trained[f"network.{name}"]) for name, value in came.items())
    verify.run(entry(network=network, dim=3, layers=["projection"]))


@pytest.mark.parametrize("dim", [None, 3])
def test_from_a_checkpoint_of_its_own(project, tmp_path, dim):
    """Trained on, from what another run left, its own layer on top and all."""
    finetune.run(entry(dim=dim), "mine")
    lines = (FOLDER / "networks/mine/history.csv").read_text().splitlines()[1:]
    best = max((line.split(",")[3] for line in lines), key=float)
    kept = tmp_path / "kept"
    shutil.copytree(FOLDER / "networks/mine", kept)
    start = {"library": "local", "model": "trained", "weights": str(kept / "network.safetensors")}
    finetune.run(entry(network=start, epochs=1), "mine")
    history = (FOLDER / "networks/mine/history.csv").read_text().splitlines()
    assert history[1] == f"0,0,nan,{best},nan,nan"
    again = tmp_path / "again"
    shutil.copytree(FOLDER / "networks/mine", again)
    finetune.run(entry(network=start | {"weights": str(again / "network.safetensors")}, dim=5), "mine")
    verify.run(entry(network=start | {"weights": str(again / "network.safetensors")}, dim=5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"layers": "lst"},
            "finetunes.mine.layers: no 'lst'; known: all, last:2 (the last blocks), or a list of names",
        ),
        (
            {"network": STAGES, "layers": "last:2"},
            "finetunes.mine: last blocks are those of a whole network: name layers, or leave network.stages empty",
        ),
        ({"layers": []}, "finetunes.mine.layers: no '[]'; known: all, last:2"),
        ({"los": "triplet"}, "finetunes.mine.los: no such key; did you mean 'loss'?"),
        ({"loss": "tripplet"}, "finetunes.mine.loss: no 'tripplet'; did you mean 'triplet'?"),
        ({"loss": "bce"}, "finetunes.mine: loss bce needs a probability of a pair, which model identity does not give"),
        ({"batch": 13}, "finetunes.mine: batch 13 is not a multiple of images_per_group 2"),
        ({"augment": {"shfit": 1}}, "finetunes.mine.augment.shfit: no such key; did you mean 'shift'?"),
        ({"precision": "float16"}, "finetunes.mine.precision: no 'float16'; did you mean 'bfloat16'?"),
        ({"network": {"library": "tim"}}, "finetunes.mine.network.library: no 'tim'; did you mean 'timm'?"),
    ],
)
def test_bad_entries_are_one_line(changes, message):
    with pytest.raises(ParamError) as error:
        entry(**changes)
    assert str(error.value).startswith(f"params.yaml: {message}")


def test_names_are_checked():
    with pytest.raises(ParamError, match=r"finetunes: 'small' is a backbone; give the finetune a name of its own"):
        settings(finetunes={"small": ENTRY})
    with pytest.raises(ParamError, match=r"finetunes: 'both' is a concatenation; give the finetune a name of its own"):
        settings(finetunes={"both": ENTRY, "mine": ENTRY}, concatenations={"both": {"features": ["small", "mine"]}})
    with pytest.raises(ParamError, match=r"no finetune 'mien' in finetunes; did you mean 'mine'"):
        finetune.run(settings(), "mien")
    with pytest.raises(ParamError, match=r"head.features: no feature set 'mien'; did you mean 'mine'"):
        settings(head={"features": "mien"})
    assert settings(concatenations={"both": {"features": ["small", "mine"]}}).feature_sets == ["small", "mine", "both"]


def test_a_layer_or_a_network_that_is_not_there(project):
    with pytest.raises(FeatureError, match=r"^finetunes.mine.layers: this network has no layer 'layer4'"):
        finetune.run(entry(layers=["layer4"]), "mine")
    with pytest.raises(FeatureError, match=r"^finetunes.mine.network.model: no 'conv5'; did you mean 'conv4'"):
        finetune.run(entry(network=ENTRY["network"] | {"model": "conv5"}), "mine")
