"""The exported file against the pipeline, asked by onnxruntime as another program would ask it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from small_images import encode, write_images
from typer.testing import CliRunner
from usable import FOLDER, make_usable

from data.errors import DataError
from data.images.decode import decode
from heads.errors import HeadError
from pipeline import load_head
from pipeline.cli.app import app
from pipeline.commands import export
from pipeline.inference import onnx_file

pytestmark = pytest.mark.forward

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
TINY = {"library": "timm", "model": "test_resnet", "weights": "random", "pixels": 32}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))


def made(backbone: dict | None = None, **head) -> list[bytes]:
    images, _ = make_usable(TINY | (backbone or {}), **head)
    return images


def exported(capsys: pytest.CaptureFixture, out: Path | None = None) -> list[str]:
    """What `export` printed."""
    capsys.readouterr()
    export.run(FOLDER / "head", out)
    return capsys.readouterr().out.splitlines()


def asked(path: Path, *images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {value.name: image for value, image in zip(session.get_inputs(), images, strict=True)})[0]


def pixels(blob: bytes) -> np.ndarray:
    return np.array(decode(blob)).transpose(2, 0, 1)[None]


@pytest.mark.slow
def test_embeddings_are_the_pipelines(capsys):
    images = made(model="mlp", hidden=[6], dim=8)
    said = exported(capsys)
    wanted = r"checked on 11 images: cosine at least (1.0000|0.999\d)\d\d, probabilities within 0.00\d\d"
    assert re.match(wanted + "(, features in bfloat16: cosine at least .* to float32)?$", said[0])
    assert said[1].startswith("images (batch, 3, height, width) uint8 RGB of any size -> embedding (batch, E), inner")
    path = FOLDER / "emoji.onnx"
    wanted = load_head(FOLDER / "head").embed(images)
    found = asked(path, np.concatenate([pixels(blob) for blob in images[:5]]))
    assert found.shape == (5, 16)
    assert (found * wanted[:5]).sum(1).min() > 0.999
    other = np.random.default_rng(0).integers(0, 256, (3, 3, 21, 64), dtype=np.uint8)
    np.testing.assert_allclose(np.linalg.norm(asked(path, other), axis=1), 1, atol=1e-5)
    check_notes(path)
    check_refusal(path.read_bytes(), images)


def check_notes(path: Path) -> None:
    """The file says what it is, and not where it was made."""
    notes = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert notes["similarity"] == "embeddings have length 1; similarity is their inner product"
    assert float(notes["threshold"]) == 0.5 and "6.0 * similarity + -3.0" in notes["probability"]
    assert notes["dataset"] == "emoji" and notes["dataset_licence"] == "nobody's"
    network = json.loads(notes["networks"])[0]
    assert network["backbone"]["model"] == "test_resnet" and network["weights_licence"] == "random numbers"
    assert json.loads(notes["head"])["model"] == "mlp"
    content = path.read_bytes()
    assert str(Path(onnx_file.__file__).parent).encode() not in content and b"site-packages" not in content


def check_refusal(content: bytes, images: list[bytes]) -> None:
    """Another head's file is found out."""
    head = load_head(FOLDER / "head")
    with torch.no_grad():
        head.trained.heads[0].project.weight.mul_(torch.linspace(-1, 1, 8)[:, None])
    with pytest.raises(
        HeadError, match=r"^export: embeddings have cosine -?0\.\d{4} to the pipeline's, at least 0.999"
    ):
        onnx_file.check(content, head, [pixels(blob) for blob in images])


def test_what_is_refused_is_not_written(monkeypatch):
    made(model="linear", dim=8)
    path = FOLDER / "emoji.onnx"
    path.write_bytes(b"an older one")

    def refuse(content, head, images):
        raise HeadError("no")

    monkeypatch.setattr(export, "to_onnx", lambda module, **rest: b"new")
    monkeypatch.setattr(export, "check", refuse)
    with pytest.raises(HeadError):
        export.run(FOLDER / "head", None)
    assert path.read_bytes() == b"an older one"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "head"),
    [
        ({"model": "test_vit", "flip": True, "crops": 2, "average": True}, {"model": "linear", "dim": 8}),
        ({"output": "grid"}, {"model": "residual", "hidden": [6], "cosine_weight": 0.2, "transform": "center"}),
        (
            {"model": "test_efficientnet", "output": "grid", "stages": [1, 3], "grid": 3, "std_pool": True},
            {"model": "linear", "transform": "whiten", "components": 5, "whitening": 0.5},
        ),
        ({"model": "test_efficientnet"}, {"model": "linear", "features": "both", "ensemble": True, "seeds": 3}),
        ({}, {"model": "identity"}),
        ({}, {"model": "linear", "distance": "euclidean", "dim": 8}),
        ({"library": "open_clip", "model": "ViT-B-32", "pixels": None}, {"model": "linear", "dim": 8}),
    ],
    ids=["views", "grid", "stages", "fused", "no head", "euclidean", "clip"],
)
def test_every_kind_of_feature_and_head(backbone, head, capsys):
    images = made(backbone, **head)
    assert re.search(r"cosine at least (1.0000|0.999\d)\d\d, ", exported(capsys)[0])
    wanted = load_head(FOLDER / "head").embed(images[7])
    found = asked(FOLDER / "emoji.onnx", pixels(images[7]))[0]
    assert found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted) > 0.999


@pytest.mark.slow
def test_a_classifier_of_pairs_takes_two(capsys):
    images = made(model="pair_mlp", loss="bce", dim=6, classifier=[5])
    said = exported(capsys)
    assert said[0].startswith("checked on 11 images: probabilities within 0.00")
    assert "left, right (batch, 3, height, width) uint8 RGB of any size -> similarity (batch,)" in said[1]
    found = asked(FOLDER / "emoji.onnx", pixels(images[0]), pixels(images[1])[:, :, :20])
    assert found.shape == (1,)
    wanted = load_head(FOLDER / "head").similarity(images[:3], images[3])
    each = [asked(FOLDER / "emoji.onnx", pixels(blob), pixels(images[3]))[0] for blob in images[:3]]
    np.testing.assert_allclose(each, wanted, atol=0.05 * max(1, np.abs(wanted).max()))


def test_missing_packages_are_named_with_the_command():
    from pipeline.extras import need

    with pytest.raises(ValueError, match=r"^export needs no_such: pip install onnx no_such$"):
        need("export", "onnx", "no_such")


def test_help_says_what_it_does():
    shown = CliRunner().invoke(app, ["export", "--help"]).output
    assert "ONNX" in shown and "--out" in shown and "checked on real images" in " ".join(shown.split())


def test_no_head_is_one_line(tmp_path):
    with pytest.raises(HeadError, match=r"no trained head here: run `dvc repro train`$"):
        export.run(tmp_path, None)


def test_one_image_is_too_few_to_check_on():
    write_images(FOLDER / "images.parquet", [encode(0)])
    with pytest.raises(DataError, match=r"images\.parquet: 1 images are too few to check an export on$"):
        export.sample_images(FOLDER)
