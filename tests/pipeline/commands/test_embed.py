"""`embed`: features and embeddings of a folder in a file that other tools read."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from usable import FOLDER, make_usable

from data.errors import DataError
from pipeline import load_head
from pipeline.commands.embed import run

OUT = Path("out/x.parquet")


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))


def folder(images: list[bytes]) -> Path:
    top = Path("pictures")
    (top / "deep").mkdir(parents=True)
    for number, content in enumerate(images[:4]):
        (top / "deep" / f"{number}.png").write_bytes(content)
    (top / "notes.txt").write_text("no image")
    return top


def test_with_and_without_the_head(images, capsys):
    contents, _ = make_usable(dim=8)
    run(folder(contents), out=OUT, head_folder=FOLDER / "head")
    assert "left out, no images: 1 files: notes.txt" in capsys.readouterr().out
    table, head = pq.read_table(OUT), load_head(FOLDER / "head")
    assert table["name"].to_pylist() == [f"deep/{i}.png" for i in range(4)]
    features = np.array(table["features"].to_pylist(), np.float32)
    np.testing.assert_allclose(features, head.features(contents[:4]).astype(np.float32), atol=2e-3)
    embeddings = np.array(table["embedding"].to_pylist(), np.float32)
    np.testing.assert_allclose(embeddings, head.embed(contents[:4]), atol=2e-3)
    assert json.loads(table.schema.metadata[b"lookalike"])["features"] == "small"
    before = OUT.read_bytes()
    run(Path("pictures"), out=OUT, head_folder=FOLDER / "head")
    assert OUT.read_bytes() == before


def test_a_classifier_of_pairs_has_features_alone(images):
    contents, _ = make_usable(model="pair_mlp", loss="bce")
    run(folder(contents), out=OUT, head_folder=FOLDER / "head")
    assert pq.read_table(OUT).column_names == ["name", "sha256", "features"]


def test_a_folder_without_images(images):
    make_usable(dim=8)
    Path("empty").mkdir()
    with pytest.raises(DataError, match="no images in it"):
        run(Path("empty"), out=OUT, head_folder=FOLDER / "head")
    assert not OUT.exists()
