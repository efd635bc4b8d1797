"""`check` finds in params.yaml what DVC would stumble over, and removes damaged objects of DVC's cache."""

import shutil
from pathlib import Path

import pytest
from project import TOP, call

from pipeline.commands import check
from pipeline.errors import ParamError
from pipeline.params import load_params


def test_the_default_params_are_fine():
    check.check_places(load_params(TOP / "params.yaml"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"name": "folder"}, "data.path: say where"),
        ({"name": "folder", "path": Path("nowhere")}, "nowhere is not there"),
    ],
)
def test_places_that_are_not_there(data, words):
    params = load_params(TOP / "params.yaml")
    with pytest.raises(ParamError, match=words):
        check.check_places(params.model_copy(update={"data": params.data.model_copy(update=data)}))


def test_weights_that_are_not_there():
    params = load_params(TOP / "params.yaml")
    entry = params.backbones["resnet18"].model_copy(update={"weights": "weights/resnet18.pt"})
    changed = params.model_copy(
        update={
            "backbones": params.backbones | {"resnet18": entry},
            "features": params.features.model_copy(update={"backbones": ("resnet18",)}),
        }
    )
    with pytest.raises(ParamError, match=r"resnet18\.weights: no file"):
        check.check_places(changed)


def test_a_damaged_object_is_removed_and_dvc_repro_makes_it_again(tmp_path, monkeypatch, capsys):
    """The remedy that messages about changed features give, end to end."""
    (tmp_path / "dvc.yaml").write_text("stages:\n  make: {cmd: mkdir -p out && echo right > out/file, outs: [out]}\n")
    (tmp_path / "params.yaml").write_bytes((TOP / "params.yaml").read_bytes())
    (tmp_path / "data").mkdir()
    (tmp_path / "data/catalogue.py").write_text("")
    monkeypatch.chdir(tmp_path)
    call(tmp_path, "dvc", "init", "--no-scm", "-q")
    call(tmp_path, "dvc", "repro", "-q")
    check.run()
    assert "2 objects behind dvc.lock, 0 damaged" in capsys.readouterr().out
    (damaged,) = [path for path, _ in check.cached_objects() if path.read_text() == "right\n"]
    damaged.chmod(0o644)
    damaged.write_text("wrong\n")
    shutil.rmtree(tmp_path / "out")
    check.run()
    said = capsys.readouterr().out
    assert f"removed {damaged}" in said and "1 damaged; run `dvc repro`" in said and not damaged.exists()
    call(tmp_path, "dvc", "repro", "-q")
    assert (tmp_path / "out/file").read_text() == "right\n"
