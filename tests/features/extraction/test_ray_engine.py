import sys

import numpy as np
import pytest
import torch
from small_images import encode, write_images

from data.tables.rows import read_rows
from features.backbones.registry import load_backbone
from features.errors import FeatureError
from features.extraction.extract import SHARD, extract_shards
from features.extraction.ray_engine import extract_shards_with_ray
from features.extraction.replicas import Compute
from features.extraction.shards import digests
from features.settings import Backbone

ENTRY = Backbone(library="torchvision", model="resnet18", weights="random", pixels=32)
COMPUTE = Compute(devices=(torch.device("cpu"),), dtype=torch.float32, batch=1, workers=0)


def test_without_ray_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(FeatureError, match=r"features.engine: ray is not installed .* or set it to local"):
        extract_shards_with_ray(
            tmp_path / "images.parquet",
            [],
            np.zeros(0, "S32"),
            np.zeros(0, np.int64),
            name="small",
            entry=ENTRY,
            compute=COMPUTE,
            folder=tmp_path,
            progress=lambda n: None,
        )


@pytest.mark.slow  # Ray takes half a minute to start
def test_ray_gives_the_same_shards(tmp_path):
    ray = pytest.importorskip("ray", reason="an optional extra: pip install 'ray[data]'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        blobs = [encode(seed, (32, 32)) for seed in range(2 * SHARD + 5)]
        source = write_images(tmp_path / "images.parquet", blobs)
        images = read_rows(source)
        keys, rows = digests(images.sha256), np.arange(len(blobs))
        network, seen = load_backbone("small", ENTRY), []
        extract_shards(
            source,
            images.id,
            keys,
            rows,
            network=network,
            compute=COMPUTE,
            folder=tmp_path / "local",
            progress=lambda n: None,
        )
        extract_shards_with_ray(
            source,
            images.id,
            keys,
            rows,
            name="small",
            entry=ENTRY,
            compute=COMPUTE,
            folder=tmp_path / "ray",
            progress=seen.append,
        )
        names = [sorted(path.name for path in (tmp_path / engine).iterdir()) for engine in ("local", "ray")]
        assert len(names[0]) == 3 and names[0] == names[1]  # named by their bytes
        assert sum(seen) == len(blobs)
        broken = write_images(tmp_path / "broken.parquet", [blobs[0], blobs[1][:-40]])
        with pytest.raises(FeatureError, match=r"image 'picture-1' in .*broken.parquet: truncated"):
            extract_shards_with_ray(
                broken,
                ["picture-0", "picture-1"],
                keys,
                np.arange(2),
                name="small",
                entry=ENTRY,
                compute=COMPUTE,
                folder=tmp_path / "ray",
                progress=seen.append,
            )
    finally:
        ray.shutdown()
