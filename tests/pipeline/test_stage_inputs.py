import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_images import encode, write_images

from data.errors import DataError
from features.errors import FeatureError
from features.storage.features_files import save_features
from heads.calibration import Calibration
from heads.errors import HeadError
from heads.head_json import HeadJson, dump_head_json
from pipeline.cli.stages import run_stage
from pipeline.params import Params, parse_params
from pipeline.stage_inputs import check_inputs, check_origin

FOLDER = Path("artifacts/emoji/features")
BACKBONES = {
    name: {"library": "timm", "model": name, "weights": "random", "pixels": pixels}
    for name, pixels in (("one", 32), ("two", 64))
}


@pytest.fixture
def params(tmp_path, monkeypatch) -> Params:
    monkeypatch.chdir(tmp_path)
    params = parse_params(
        {
            "data": {"name": "emoji"},
            "backbones": BACKBONES,
            "features": {"backbones": ["one", "two"]},
            "concatenations": {"both": {"features": ["one", "two"]}},
            "head": {"features": "one"},
        }
    )
    made = {name: {"backbone": entry.model_dump(mode="json")} for name, entry in params.backbones.items()}
    made["both"] = {"concatenation": params.concatenations["both"].model_dump(mode="json")}
    for name, provenance in made.items():
        save_features(FOLDER / name, np.ones((3, 4), np.float16), images_hash="0", provenance=provenance)
    return params


def test_every_set_is_that_of_its_name(params):
    for name in ("one", "two", "both"):
        check_origin(params, name)


@pytest.mark.parametrize("other", ["two", "both"])
def test_exchanged_folders(params, other):
    """Also of different kinds: each says nothing of the kind that the other one is."""
    shutil.move(FOLDER / "one", FOLDER / "kept")
    shutil.move(FOLDER / other, FOLDER / "one")
    shutil.move(FOLDER / "kept", FOLDER / other)
    kinds = {"one": "backbone", "two": "backbone", "both": "concatenation"}
    for name in ("one", other):
        with pytest.raises(FeatureError, match=rf"features/{name}: .* another {kinds[name]} .*dvc repro"):
            check_origin(params, name)


@pytest.mark.parametrize(("stage", "name"), [("train", ""), ("evaluate", ""), ("concat", "both")])
def test_a_stage_does_not_start_on_exchanged_folders(params, monkeypatch, stage, name):
    check_inputs(params, stage, name)
    shutil.move(FOLDER / "one", FOLDER / "kept")
    shutil.move(FOLDER / "two", FOLDER / "one")
    shutil.move(FOLDER / "kept", FOLDER / "two")
    monkeypatch.setattr("pipeline.params.load_params", lambda: params)
    with pytest.raises(FeatureError, match="another backbone than 'one'"):
        run_stage(stage, *filter(None, [name]))


def test_an_entry_edited_since(params):
    edited = params.concatenations["both"].model_copy(update={"weights": (1.0, 0.5)})
    with pytest.raises(FeatureError, match=r"another concatenation .*; with data\.name emoji, run `dvc repro`"):
        check_origin(params.model_copy(update={"concatenations": {"both": edited}}), "both")


@pytest.mark.parametrize("edited", [{"loss": "triplet"}, {"dim": 8}, {"features": "two"}])
def test_a_head_of_other_settings(params, monkeypatch, edited):
    about = HeadJson(
        settings=params.head,
        width=4,
        groups=2,
        thresholds=(0.5,) * params.head.seeds,
        calibration=Calibration(0.5, 1.0, 0.0),
        best_epochs=(1,) * params.head.seeds,
        features_sha256="",
        images_hash="",
        protocol_sha256="",
        weights_sha256="",
    )
    folder = FOLDER.with_name("head")
    folder.mkdir()
    (folder / "head.json").write_bytes(dump_head_json(about.model_dump(mode="json")))
    check_inputs(params, "evaluate")
    params = params.model_copy(update={"head": params.head.model_copy(update=edited)})
    monkeypatch.setattr("pipeline.params.load_params", lambda: params)
    with pytest.raises(HeadError, match=rf"another head\.{next(iter(edited))} than params.yaml gives; run `dvc repro"):
        run_stage("evaluate")


@pytest.mark.parametrize(("stage", "name"), [("extract", "one"), ("finetune", "mine")])
def test_images_of_other_rows(params, monkeypatch, stage, name):
    folder = FOLDER.parent
    images = write_images(folder / "images.parquet", [encode(seed) for seed in range(5)])
    check_inputs(params, stage, name)  # alone, as on a machine that only extracts
    shutil.copy(images, folder / "rows.parquet")
    check_inputs(params, stage, name)
    table = pq.read_table(images)
    pq.write_table(table.set_column(2, "group", pa.array(["g"] * 5)), images)
    monkeypatch.setattr("pipeline.params.load_params", lambda: params)
    with pytest.raises(DataError, match=r"images\.parquet: other images, groups or splits .*; run `dvc repro prepare`"):
        run_stage(stage, name)
