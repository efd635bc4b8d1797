"""Heat maps of where two pictures agree: against a loop over cells, and on a network's own maps."""

import numpy as np
import pytest
import torch
from PIL import Image

from features.settings import Backbone
from pipeline.inference.agreement import CELLS, agreement, local_features, overlay
from pipeline.inference.feature_sources import FeatureSet


def test_a_cell_is_as_hot_as_its_best_counterpart():
    rng = torch.Generator().manual_seed(0)
    a, b = torch.rand(5, 2, 3, generator=rng), torch.rand(5, 3, 2, generator=rng)
    heats = agreement(a, b)
    top = max(float(x.norm()) for x in a.flatten(1).T) * max(float(x.norm()) for x in b.flatten(1).T)
    for row in range(2):
        for column in range(3):
            best = max(float(a[:, row, column] @ other) for other in b.flatten(1).T)
            assert heats[0][row, column] == pytest.approx(best / top, rel=1e-5)
    assert heats[1].shape == (3, 2)


def test_the_part_that_both_have_is_hot_and_plain_ground_is_cold():
    a, b = torch.zeros(4, 3, 3), torch.zeros(4, 3, 3)
    a[1, 0, 0] = b[1, 2, 2] = 3.0  # the same part, elsewhere
    a[2, 1, 1] = b[3, 1, 1] = 3.0  # other parts, at the same place
    first, second = agreement(a, b)
    assert first[0, 0] == second[2, 2] == 1
    assert first.sum() == second.sum() == 1
    assert not np.isnan(np.concatenate(agreement(torch.zeros(4, 3, 3), torch.zeros(4, 3, 3)))).any()


def test_heat_is_seen_over_the_picture():
    picture = Image.new("RGB", (64, 64), "white")
    heat = np.zeros((CELLS, CELLS), np.float32)
    heat[0, 0] = 1
    drawn = np.asarray(overlay(picture, heat)).astype(int)
    hot, cold = drawn[2, 2], drawn[-2, -2]
    assert hot[0] > hot[2] + 50 and cold[2] > cold[0] and drawn.shape == (64, 64, 3)


def networks(**entry) -> FeatureSet:
    from pipeline.inference.feature_sources import FeatureSource

    backbone = Backbone.model_validate({"weights": "random", "pixels": 64} | entry)
    return FeatureSet("any", (FeatureSource("any", backbone, network=None, provenance={}),), 512)


def test_a_network_with_a_map_and_one_without():
    local = local_features(networks(library="torchvision", model="resnet18"), device=torch.device("cpu"))
    picture = Image.effect_mandelbrot((80, 60), (-3, -2.5, 2, 2.5), 20).convert("RGB")
    maps = local.heat_maps(picture, picture.rotate(90))
    assert [one.size for one in maps] == [(64, 64)] * 2
    assert local_features(networks(library="local", model="conv4"), device=torch.device("cpu")) is None
