"""Extraction end to end on small networks, against a plain loop."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_images import encode, write_images
from torch import nn

from data.images.decode import decode
from data.tables.rows import read_rows
from features.backbones.preprocess import Preprocess
from features.backbones.registry import LoadedBackbone, load_backbone
from features.errors import FeatureError
from features.extraction import extract
from features.extraction.extract import SHARD, extract_rows, extract_shards
from features.extraction.precision import forward_dtype
from features.extraction.replicas import Compute
from features.extraction.shards import digests, feature_shape, fill, missing_rows
from features.settings import Backbone
from features.storage.features_files import RowWriter

CPU = torch.device("cpu")
pytestmark = pytest.mark.forward
LIMIT = 900  # seconds: a busy machine is no failure
ENTRY = Backbone(library="torchvision", model="resnet18", weights="random", pixels=32)


def on_cpu(batch: int = 4, workers: int = 0, dtype: torch.dtype | None = None, replicas: int = 1, **more) -> Compute:
    dtype = dtype or forward_dtype("auto", CPU)
    return Compute(devices=(CPU,) * replicas, dtype=dtype, batch=batch, workers=workers, **more)


@pytest.fixture(scope="module")
def network() -> LoadedBackbone:
    return load_backbone("resnet18", ENTRY)


def all_rows(source, network, compute) -> np.ndarray:
    images = read_rows(source)
    blocks = list(extract_rows(source, images.id, np.arange(len(images)), network, compute=compute))
    assert [row for rows, _ in blocks for row in rows] == list(range(len(images)))
    return np.concatenate([features for _, features in blocks])


def plain_loop(blobs, network) -> torch.Tensor:
    """One image at a time, as published: no batches, no folded norms, no channels_last, no half."""
    spec = network.preprocess
    with torch.inference_mode():
        return torch.cat([network.module(spec.normalise(spec.pixels(decode(b))[None], torch.float32)) for b in blobs])


def close(a: np.ndarray, b: torch.Tensor, least: float = 0.9995) -> bool:
    return bool((torch.cosine_similarity(torch.from_numpy(a).float(), b.float(), dim=-1) >= least).all())


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (4, 0), (16, 0), (4, 2)])
def test_the_same_as_a_plain_loop(images, network, batch, workers):
    features = all_rows(images, network, on_cpu(batch, workers))
    wanted = plain_loop([encode(seed) for seed in range(11)], network)
    assert features.shape == (11, 1, 512) and features.dtype == np.float16
    assert close(features[:, 0], wanted)


def test_bytes_depend_neither_on_workers_nor_on_what_is_in_the_batch(images, network):
    whole = all_rows(images, network, on_cpu(4))
    assert (whole == all_rows(images, network, on_cpu(4, workers=2))).all()
    some = np.array([1, 2, 9])
    part = np.concatenate([f for _, f in extract_rows(images, [""] * 11, some, network, compute=on_cpu(4))])
    assert close(part[:, 0], torch.from_numpy(whole[some, 0]))


def test_nothing_large_is_written_after_the_workers_fork(images, network, monkeypatch):
    """Pages that a forked process may still read are copied when they are written to: it took up to 3 s."""
    order = []
    for name in ("inference_module", "return_freed_memory", "load_images"):
        real = getattr(extract, name)
        monkeypatch.setattr(extract, name, lambda *a, name=name, real=real, **k: order.append(name) or real(*a, **k))
    all_rows(images, network, on_cpu(workers=1))
    assert order == ["inference_module", "return_freed_memory", "load_images"]


def test_bfloat16_is_near(images, network):
    wanted = plain_loop([encode(seed) for seed in range(11)], network)
    assert close(all_rows(images, network, on_cpu(dtype=torch.bfloat16))[:, 0], wanted, 0.999)


def test_views_are_flip_and_crops_in_the_order_of_their_names(images):
    entry = ENTRY.model_copy(update={"flip": True, "crops": 2})
    assert entry.views == ["plain", "flip", "centre", "top left"]
    network = load_backbone("views", entry)
    features = all_rows(images, network, on_cpu())
    assert features.shape == (11, 4, 512)
    spec, blobs = network.preprocess, [encode(seed) for seed in range(11)]
    views = torch.stack([spec.views(decode(blob), 2) for blob in blobs])  # (11, 3, 3, S, S)
    with torch.inference_mode():
        for view, pixels in enumerate([views[:, 0], views[:, 0].flip(-1), views[:, 1], views[:, 2]]):
            assert close(features[:, view], network.module(spec.normalise(pixels, torch.float32)))
    average = load_backbone("mean", entry.model_copy(update={"average": True}))
    mean = torch.nn.functional.normalize(torch.from_numpy(features).float(), dim=2).mean(1)
    assert close(all_rows(images, average, on_cpu())[:, 0], mean)


class Refused(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, images):
        raise self.error


NotCompiled = type("InductorError", (RuntimeError,), {"__module__": "torch._inductor.exc"})


@pytest.mark.parametrize(
    ("error", "batch", "remedy"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), 4, "features.batch to 2"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), 1, "features.dtype to float16"),
        (NotCompiled("Failed to find\na compiler"), 4, r"Failed to find a compiler.*features.compile to false"),
    ],
)
def test_what_a_setting_can_mend_is_one_line(images, network, monkeypatch, error, batch, remedy):
    monkeypatch.setattr(torch, "compile", lambda module: module)
    refused = replace(network, module=Refused(error), convolutional=False)
    with pytest.raises(FeatureError, match=remedy):
        all_rows(images, refused, on_cpu(batch, compile=True))


class Broken(nn.Module):
    """Mean colour, but NaN or huge for the image with the largest one."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, images):
        means = images.mean((2, 3))
        return torch.where(means.sum(1, keepdim=True) > 1.5, self.value, means)


@pytest.mark.parametrize(("value", "what"), [(float("nan"), "NaN or infinite"), (1e6, r"beyond float16 \(65504\)")])
def test_a_bad_feature_names_the_image(tmp_path, value, what):
    from io import BytesIO

    from PIL import Image

    def grey(level):
        buffer = BytesIO()
        Image.new("RGB", (20, 20), (level,) * 3).save(buffer, "PNG")
        return buffer.getvalue()

    source = write_images(tmp_path / "images.parquet", [grey(level) for level in (0, 10, 255, 30, 40)])
    spec = Preprocess(size=16, resize=16, mean=(0.0,) * 3, std=(1.0,) * 3)
    broken = LoadedBackbone(module=Broken(value), preprocess=spec, weights_sha256="", convolutional=False)
    with pytest.raises(
        FeatureError, match=rf"image 'picture-2': its features are {what}; set features.dtype to float32"
    ):
        all_rows(source, broken, on_cpu(2))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_no_longer_decodes_is_named(tmp_path, network, workers):
    source = write_images(tmp_path / "images.parquet", [encode(0), encode(1)[:-40], encode(2)])
    with pytest.raises(FeatureError, match=r"image 'picture-1' in .*images.parquet: truncated.*dvc repro prepare"):
        all_rows(source, network, on_cpu(2, workers))


def into_array(source, folder, network, compute, tmp_path) -> np.ndarray:
    images = read_rows(source)
    keys = digests(images.sha256)
    missing = missing_rows(folder, keys)
    extract_shards(
        source, images.id, keys, missing, network=network, compute=compute, folder=folder, progress=lambda n: None
    )
    views, width = feature_shape(folder)
    with (tmp_path / "out.npy").open("wb") as file:
        writer = RowWriter(file, (len(keys), views, width))
        fill(folder, keys, writer)
        writer.check_whole()
    return np.load(tmp_path / "out.npy")


def test_shards_give_what_a_straight_run_gives(images, network, tmp_path):
    assert (
        into_array(images, tmp_path / "s", network, on_cpu(), tmp_path) == all_rows(images, network, on_cpu())
    ).all()


def test_equal_images_run_once_and_added_ones_alone(tmp_path, network):
    blobs = [encode(seed) for seed in (0, 1, 0, 2, 1)]
    source = write_images(tmp_path / "images.parquet", blobs)
    folder = tmp_path / "shards"
    keys = digests(read_rows(source).sha256)
    assert missing_rows(folder, keys).tolist() == [0, 1, 3]
    first = into_array(source, folder, network, on_cpu(), tmp_path)
    assert (first[0] == first[2]).all() and (first[1] == first[4]).all() and (first[0] != first[1]).any()
    more = write_images(tmp_path / "more.parquet", [encode(7), *blobs, encode(8)])
    assert missing_rows(folder, digests(read_rows(more).sha256)).tolist() == [0, 6]
    second = into_array(more, folder, network, on_cpu(), tmp_path)
    assert (second[1:6] == first).all()
    assert close(second[:, 0], plain_loop([encode(7), *blobs, encode(8)], network))


def test_a_damaged_shard_is_no_shard(images, network, tmp_path):
    folder = tmp_path / "shards"
    wanted = into_array(images, folder, network, on_cpu(), tmp_path)
    (shard,) = folder.iterdir()
    shard.write_bytes(shard.read_bytes()[:-2])
    assert (into_array(images, folder, network, on_cpu(), tmp_path) == wanted).all()


KILLED = """
import sys, torch
from pathlib import Path
import numpy as np
sys.path.insert(0, {tests!r})
import test_extract as t
from features.backbones.registry import load_backbone
source, folder, out = map(Path, sys.argv[1:4])
network = load_backbone("resnet18", t.ENTRY)
Path(out, "ready").touch()
np.save(Path(out, "final.npy"), t.into_array(source, folder, network, t.on_cpu(1, workers=1), out))
"""


def test_killed_at_any_moment_a_rerun_gives_the_same_bytes_and_loses_one_shard(tmp_path):
    count = 5 * SHARD  # five shards with batches of one
    source = write_images(tmp_path / "images.parquet", [encode(seed, (32, 32)) for seed in range(count)], row_group=40)
    code = textwrap.dedent(KILLED).format(tests=str(Path(__file__).parent))

    def start(folder: str) -> subprocess.Popen:
        out = tmp_path / folder
        out.mkdir(exist_ok=True)
        arguments = [sys.executable, "-c", code, str(source), str(out / "shards"), str(out)]
        return subprocess.Popen(arguments, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})

    assert start("whole").wait(LIMIT) == 0
    process = start("killed")
    shards = tmp_path / "killed" / "shards"
    while len(list(shards.glob("*.safetensors"))) < 2:
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = len(list(shards.glob("*.safetensors")))
    assert finished < 5, "it was done before it was killed: make the data larger"
    missing = missing_rows(shards, digests(read_rows(source).sha256))
    assert len(missing) == count - finished * SHARD  # whole shards only, and no finished one lost
    assert start("killed").wait(LIMIT) == 0
    assert (tmp_path / "killed/final.npy").read_bytes() == (tmp_path / "whole/final.npy").read_bytes()
    names = [
        sorted(path.name for path in (tmp_path / run / "shards").glob("*.safetensors")) for run in ("whole", "killed")
    ]
    assert names[0] == names[1]
