"""A head on features of a network that was trained here, alone and in a concatenation."""

import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from grouped_images import write_groups
from usable import FOLDER, make_head

from data.tables.rows import read_images, read_rows
from features.errors import FeatureError
from features.storage.features_files import load_features
from pipeline import load_head
from pipeline.inference.search_index import folder_gallery
from pipeline.params import parse_params
from pipeline.stages import concat, extract, finetune

pytestmark = pytest.mark.forward

SMALL = {"library": "local", "model": "conv4", "weights": "random", "pixels": 16}
MINE = {"network": SMALL, "loss": "infonce", "batch": 12, "epochs": 1, "lr": 0.01, "select": "top1", "dim": 5}


@pytest.fixture(params=["mine", "both"])
def head(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    source = write_groups(FOLDER / "images.parquet")
    table = pq.read_table(source)
    names = ["thumb" if name == "image" else name for name in table.column_names]
    pq.write_table(table.rename_columns(names), FOLDER / "rows.parquet")
    params = parse_params(
        {
            "data": {"name": "emoji"},
            "backbones": {"small": SMALL},
            "features": {"backbones": ["small"], "batch": 8, "workers": 0},
            "finetunes": {"mine": MINE},
            "concatenations": {"both": {"features": ["small", "mine"]}},
            "head": {"features": request.param, "dim": 4, "seeds": 2},
        }
    )
    finetune.run(params, "mine")
    if request.param == "both":
        extract.run(params, "small")
        concat.run(params, "both")
    make_head(params)
    return load_head(FOLDER / "head")


def test_features_are_those_that_finetune_wrote(head):
    rows = read_rows(FOLDER / "images.parquet")
    images = read_images(FOLDER / "images.parquet", np.arange(len(rows)))
    stored = load_features(FOLDER / "features" / head.feature_set.name, images_hash=rows.images_hash)
    found = head.features(images)
    np.testing.assert_allclose(found.astype(np.float32), stored.astype(np.float32), atol=5e-3)
    assert np.corrcoef(found.ravel(), stored.ravel())[0, 1] > 0.9999
    Path("pictures").mkdir()
    for row in range(4):
        Path(f"pictures/{row}.png").write_bytes(images[row])
    before = {path.name for path in Path("cache/features").iterdir()}
    gallery = folder_gallery(head, Path("pictures"), progress=lambda *_: nullcontext(lambda count: None))
    np.testing.assert_allclose(gallery.embeddings.numpy(), head.embeddings(images[:4]).numpy(), atol=5e-3)
    assert {path.name for path in Path("cache/features").iterdir()} == before  # finetune's own shards are found


def test_without_its_weights(head):
    shutil.rmtree(FOLDER / "networks")
    with pytest.raises(FeatureError, match=r"networks/mine/network\.safetensors"):
        load_head(FOLDER / "head")
