"""torch.compile is an option of speed alone."""

import numpy as np
import pytest
import torch
from small_images import encode, write_images

from features.backbones.registry import load_backbone
from features.extraction.extract import extract_rows
from features.extraction.replicas import Compute
from features.settings import Backbone


@pytest.mark.slow
def test_a_compiled_network_gives_nearly_the_same(tmp_path):
    source = write_images(tmp_path / "images.parquet", [encode(seed) for seed in range(10)])
    network = load_backbone("small", Backbone(library="torchvision", model="resnet18", weights="random", pixels=32))
    found = []
    for compiled in (False, True):
        compute = Compute(devices=(torch.device("cpu"),), dtype=torch.float32, batch=2, workers=0, compile=compiled)
        blocks = extract_rows(source, [""] * 10, np.arange(10), network, compute=compute)
        found.append(torch.from_numpy(np.concatenate([features for _, features in blocks])[:, 0]).float())
    assert torch.cosine_similarity(*found).min() >= 0.9995
