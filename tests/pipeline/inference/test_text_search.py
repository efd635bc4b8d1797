"""Words as queries, on a small CLIP: ranked as open_clip itself ranks them."""

import json

import numpy as np
import open_clip
import pytest
import torch
from usable import FOLDER, make_usable

from data.images.decode import decode
from heads.errors import HeadError
from pipeline import load_head
from pipeline.commands import search
from pipeline.errors import ParamError
from pipeline.inference.text_search import text_embeddings

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
TEXTS = ["a red car", "a photo of a cat"]


@pytest.fixture(scope="module", autouse=True)
def tiny_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    (folder / "tiny-clip.json").write_text(json.dumps(TINY))
    paths, configs = list(open_clip.factory._MODEL_CONFIG_PATHS), dict(open_clip.factory._MODEL_CONFIGS)
    open_clip.add_model_config(folder)
    yield
    open_clip.factory._MODEL_CONFIG_PATHS[:] = paths
    open_clip.factory._MODEL_CONFIGS = configs


@pytest.fixture
def clip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(7)
    model = open_clip.create_model("tiny-clip", pretrained_text=False)
    torch.save(model.state_dict(), "tiny.pt")
    return {"library": "open_clip", "model": "tiny-clip", "weights": str(tmp_path / "tiny.pt"), "pixels": None}


def test_images_are_ranked_as_open_clip_ranks_them(clip, capsys):
    images, _ = make_usable(clip, model="identity", seeds=1)
    theirs, _, transform = open_clip.create_model_and_transforms(
        "tiny-clip", pretrained="tiny.pt", pretrained_text=False
    )
    with torch.no_grad():
        words = theirs.eval().encode_text(open_clip.get_tokenizer("tiny-clip")(TEXTS), normalize=True)
        pictures = theirs.encode_image(torch.stack([transform(decode(image)) for image in images]), normalize=True)
    expected = (words @ pictures.T).numpy()
    capsys.readouterr()
    search.run([], texts=TEXTS, folder=FOLDER / "head", k=11, as_json=True)
    found = json.loads(capsys.readouterr().out)
    for query, row in zip(found["queries"], expected, strict=True):
        similarity = {one["name"]: one["similarity"] for one in query["nearest"]}
        np.testing.assert_allclose([similarity[f"picture-{i}"] for i in range(11)], row, atol=5e-3)
        assert all(one["probability"] is None and one["alike"] is None for one in query["nearest"])
    search.run([], texts=TEXTS[:1], folder=FOLDER / "head", k=2)
    said = capsys.readouterr().out
    assert said.startswith("a red car\n") and "probability" not in said and "words" in said


def test_a_head_that_leaves_the_space_of_words(clip):
    make_usable(clip, model="linear", dim=8)
    with pytest.raises(HeadError, match=r"--text: a linear head leaves .* head\.model=identity"):
        text_embeddings(load_head(FOLDER / "head"), TEXTS)


def test_features_that_are_not_clips(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_usable(model="identity")
    with pytest.raises(HeadError, match=r"--text: small are not the features of a CLIP"):
        text_embeddings(load_head(FOLDER / "head"), TEXTS)


def test_words_or_images():
    for texts in ([], ["a"]):
        with pytest.raises(ParamError, match="images or --text"):
            search.run([None] * len(texts), texts=texts)
