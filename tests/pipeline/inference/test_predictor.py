"""`load_head`: what it answers is what features.npy and the head say, whatever the head and however images come."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from usable import FOLDER, make_features, make_head, make_images, make_params, make_usable

from data.errors import DataError
from data.tables.rows import read_rows
from features.errors import FeatureError
from features.storage.features_files import load_features
from features.storage.sealed_json import seal, unseal
from heads.errors import HeadError
from pipeline import load_head

pytestmark = pytest.mark.forward

HEADS = {
    "linear": {"model": "linear", "dim": 8},
    "euclidean": {"model": "mlp", "hidden": [6], "dim": 8, "distance": "euclidean"},
    "squared": {"model": "linear", "distance": "squared_euclidean"},
    "kept": {"model": "linear", "dim": 4, "cosine_weight": 0.3, "transform": "whiten"},
    "components": {"model": "linear", "transform": "whiten", "components": 5, "whitening": 0.5},
    "ensemble": {"model": "linear", "dim": 8, "ensemble": True, "seeds": 3},
    "no head": {"model": "identity", "seeds": 3},
    "pairs": {"model": "pair_mlp", "loss": "bce", "dim": 6, "classifier": [5]},
    "logit": {"model": "distance_logit", "loss": "bce", "dim": 6},
    "fused": {"model": "linear", "dim": 8, "features": "both"},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))


def stored_similarity(name: str, trained) -> np.ndarray:
    """The oracle: mean over seeds of what scores see, on the features that `extract` left."""
    array = load_features(FOLDER / "features" / name, images_hash=read_rows(FOLDER / "rows.parquet").images_hash)
    rows = torch.arange(len(array))
    features = torch.from_numpy(array).float()
    each = [similarity.block(rows, rows) for similarity in trained.similarities(features)]
    return torch.stack(each).mean(0).numpy()


@pytest.mark.parametrize("settings", HEADS.values(), ids=HEADS.keys())
def test_similarities_are_those_of_the_stored_features(settings):
    images, trained = make_usable(**settings)
    head = load_head(FOLDER / "head")
    expected = stored_similarity(trained.settings.features, trained)
    found = head.similarity(images[:3], images[3:8])
    np.testing.assert_allclose(found, expected[:3, 3:8], atol=5e-3 * np.abs(expected).max())
    assert np.corrcoef(found.ravel(), expected[:3, 3:8].ravel())[0, 1] > 0.999
    comparison = head.compare(images[0], images[4])
    assert comparison.similarity == pytest.approx(found[0, 1], abs=1e-4)
    assert comparison.probability == pytest.approx(1 / (1 + np.exp(3 - 6 * comparison.similarity)), rel=1e-5)
    assert bool(comparison.alike) == (comparison.similarity >= 0.5) and comparison.threshold == 0.5


GRID = {"library": "torchvision", "model": "resnet18", "output": "grid"}


STAGES = GRID | {"stages": [1, 3], "grid": 3}


@pytest.mark.parametrize("views", [{"flip": True, "crops": 2}, {"flip": True, "average": True}, GRID, STAGES])
def test_views_and_grids(views):
    images, trained = make_usable(views, model="linear", dim=8)
    found = load_head(FOLDER / "head").similarity(images, images)
    np.testing.assert_allclose(found, stored_similarity("small", trained), atol=5e-3)


def test_inner_products_of_embeddings_are_similarities():
    images, _ = make_usable(model="linear", dim=8)
    head = load_head(FOLDER / "head")
    embedded = head.embed(images)
    assert embedded.shape == (11, 2 * 8) and embedded.dtype == np.float32
    np.testing.assert_allclose(embedded @ embedded.T, head.similarity(images, images), atol=1e-5)
    assert head.embed(images[0]).shape == (16,) and head.embed([]).shape == (0, 16)


def test_shapes_follow_what_was_given():
    images, _ = make_usable()
    head = load_head(FOLDER / "head")
    one, two = images[0], images[1:3]
    shapes = [head.similarity(a, b).shape for a, b in ((one, one), (one, two), (two, one), (two, two))]
    assert shapes == [(), (2,), (2,), (2, 2)]
    assert head.probability(two, two).shape == (2, 2)


def test_a_classifier_of_pairs_has_no_embeddings():
    images, _ = make_usable(**HEADS["pairs"])
    head = load_head(FOLDER / "head")
    with pytest.raises(HeadError, match=r"a pair_mlp head has no embeddings, it classifies pairs: ask for similarity$"):
        head.embed(images[0])
    assert head.similarity(images[0], images[1]) != head.similarity(images[1], images[0])  # a asks, b answers


def test_paths_bytes_and_pictures_are_one_image():
    images, _ = make_usable()
    Path("one.png").write_bytes(images[0])
    head = load_head(FOLDER / "head")
    given = [
        "one.png",
        Path("one.png"),
        images[0],
        Image.open(BytesIO(images[0])),
        f"file://{Path('one.png').resolve()}",
    ]
    embedded = head.embed(given)
    assert (embedded == embedded[0]).all()


def test_an_unusable_image_is_named():
    make_usable()
    head = load_head(FOLDER / "head")
    Path("page.jpg").write_text("<html>")
    with pytest.raises(DataError, match=r"^page\.jpg: unreadable: not an image in a known format; give another image$"):
        head.embed(["page.jpg"])
    with pytest.raises(DataError, match=r"^gone\.png: No such file or directory"):
        head.similarity("gone.png", "gone.png")
    with pytest.raises(DataError, match=r"^image 2: tiny: 4x4"):
        head.embed([Image.new("RGB", (40, 40)), Image.new("RGB", (4, 4))])


def test_no_head_yet():
    make_images()
    with pytest.raises(HeadError, match="no trained head here: run `dvc repro"):
        load_head(FOLDER / "head")


def test_features_made_again_after_training():
    make_usable()
    make_features(make_params({"pixels": 40}))
    with pytest.raises(FeatureError, match="not the features that the head was trained on; run `dvc repro`"):
        load_head(FOLDER / "head")


def test_a_part_of_a_fusion_made_again():
    make_images()
    params = make_params(features="both")
    make_features(params)
    make_head(params)
    changed = make_params({"pixels": 40}, features="small")
    make_features(changed)
    with pytest.raises(FeatureError, match="not the features that 'both' was made of"):
        load_head(FOLDER / "head")


@pytest.mark.parametrize(
    ("key", "value", "words"), [("weights_sha256", "0" * 64, "weights"), ("preprocess", {}, "preprocess")]
)
def test_a_network_that_changed_since(key, value, words):
    make_usable()
    path = FOLDER / "features/small/features.json"
    about = unseal(path.read_bytes())
    about["provenance"][key] = value
    path.write_bytes(seal(about))
    with pytest.raises(FeatureError, match=f"small: other {words} than when its features were made"):
        load_head(FOLDER / "head")


@pytest.mark.parametrize(
    "provenance",
    [
        {"something": "else"},
        {"backbone": None},
        {"backbone": "abc"},
        {"finetune": "abc"},
        {"concatenation": None},
        {"concatenation": {"features": ["small", "large"]}},
        {"concatenation": {"features": ["small", "large"]}, "parts": ["abc"]},
    ],
)
def test_a_sidecar_that_names_no_network(provenance):
    make_usable()
    path = FOLDER / "features/small/features.json"
    path.write_bytes(seal(unseal(path.read_bytes()) | {"provenance": provenance}))
    with pytest.raises(FeatureError, match="its sidecar names no network of this version"):
        load_head(FOLDER / "head")
