"""Memory of extraction stays flat: ten times the images take no more of it, beside the table of their ids."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_images import encode, write_images

PEAK = """
import sys, resource
from pathlib import Path
import numpy as np, torch
from torch import nn
from data.tables.rows import read_rows
from features.extraction.extract import extract_shards
from features.extraction.replicas import Compute
from features.backbones.registry import LoadedBackbone
from features.backbones.preprocess import Preprocess
from features.extraction.shards import digests, fill, missing_rows, feature_shape
from features.storage.features_files import new_features

class Tiny(nn.Module):
    def forward(self, images):
        return images.mean((2, 3)).repeat(1, 256)  # 768 numbers

source, folder = Path(sys.argv[1]), Path(sys.argv[2])
network = LoadedBackbone(Tiny(), Preprocess(size=32, resize=32), "", convolutional=False)
compute = Compute((torch.device("cpu"),), torch.float32, batch=64, workers=1)
images = read_rows(source)
ids, keys = images.id, digests(images.sha256)
del images
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
extract_shards(source, ids, keys, missing_rows(folder / "shards", keys), network=network, compute=compute,
               folder=folder / "shards", progress=lambda n: None)
shape = (len(keys), feature_shape(folder / "shards")[1])
with new_features(folder / "set", shape, images_hash="", provenance={}) as out:
    fill(folder / "shards", keys, out)
print(before, peak())
"""


def peaks(tmp_path: Path, count: int) -> tuple[int, int]:
    """Kilobytes at most: with the rows read, and at the end."""
    content = encode(0, (24, 24))
    blobs = [
        content + str(number).encode() for number in range(count)
    ]  # after the end of a PNG: another key, the same picture
    source = write_images(tmp_path / str(count) / "images.parquet", blobs, row_group=2048)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-c", PEAK, str(source), str(tmp_path / str(count))]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    return before, after


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_ten_times_the_images_take_at_most_a_tenth_more_memory(tmp_path):
    small_rows, small = peaks(tmp_path, 20_000)
    large_rows, large = peaks(tmp_path, 200_000)
    assert large - large_rows <= small - small_rows + 0.1 * small
