"""Maps of earlier stages, from each library, against the network's own modules run by hand."""

import re

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, normalize

from features.backbones.fuse_bn import fuse_batch_norms
from features.backbones.pooling import StagePool
from features.backbones.registry import load_backbone
from features.errors import FeatureError
from features.settings import Backbone


def entry(library: str, model: str, **more) -> Backbone:
    return Backbone(library=library, model=model, weights="random", **({"pixels": 64, "output": "grid"} | more))


def by_hand(modules: dict[str, nn.Module], names: list[str], images: torch.Tensor, *, run: nn.Module, cells: int):
    """What hooks see as the whole network runs."""
    seen = {}
    for name in names:
        modules[name].register_forward_hook(lambda module, inputs, output, name=name: seen.update({name: output}))
    run(images)
    maps = [normalize(adaptive_avg_pool2d(seen[name], cells).flatten(1), dim=1) for name in names]
    return torch.cat(maps, 1) / len(names) ** 0.5


@pytest.mark.parametrize(
    ("library", "model", "names"),
    [
        ("timm", "resnet10t", ["layer1", "layer3"]),
        ("torchvision", "resnet18", ["layer1", "layer3"]),
        ("timm", "tf_efficientnet_lite0", ["blocks.1", "blocks.4"]),
    ],
)
def test_the_maps_are_those_inside_the_whole_network(library, model, names):
    images = torch.randn(2, 3, 64, 64)
    whole = load_backbone("mine", entry(library, model, output="global")).module
    network = load_backbone("mine", entry(library, model, stages=(1, 3), grid=3))
    with torch.inference_mode():
        wanted = by_hand(dict(whole.named_modules()), names, images, run=whole, cells=3)
        got = network.module(images)
    assert torch.allclose(normalize(got, dim=1), wanted, atol=1e-5)
    assert torch.allclose(got.norm(dim=1), torch.tensor(2.0).sqrt(), atol=1e-5)  # two maps, of length 1 each


def spread_by_hand(maps: torch.Tensor, cells: int) -> torch.Tensor:
    """From moments, in double precision."""
    square, mean = (adaptive_avg_pool2d(power, cells).flatten(1) for power in (maps.double() ** 2, maps.double()))
    return normalize((square - mean**2).sqrt(), dim=1).float()


@pytest.mark.parametrize(("cells", "offset"), [(1, 0.0), (2, 0.0), (3, 0.0), (1, 1000.0)])
def test_the_spread_is_each_cells_standard_deviation(cells, offset):
    maps = [torch.randn(2, 5, 8, 8) + offset, torch.rand(2, 3, 4, 4) + offset]
    got = StagePool(cells, std_pool=True)(maps)
    wanted = []
    for each in maps:
        wanted += [normalize(adaptive_avg_pool2d(each, cells).flatten(1), dim=1), spread_by_hand(each, cells)]
    assert torch.allclose(got, torch.cat(wanted, 1), atol=1e-5)
    assert torch.equal(got[:, : 5 * cells**2], StagePool(cells)(maps)[:, : 5 * cells**2])


@pytest.mark.parametrize(("side", "cells"), [(4, 1), (1, 1), (2, 4)])
def test_cells_that_do_not_vary_have_no_spread_and_train(side, cells):
    maps = torch.full((2, 3, side, side), 5.0, requires_grad=True)
    got = StagePool(cells, std_pool=True)([maps])
    assert got[:, : 3 * cells**2].all() and not got[:, 3 * cells**2 :].any()
    got.sum().backward()
    assert torch.isfinite(maps.grad).all()


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_network_with_spread_gives_twice_the_numbers(library):
    images, model = torch.randn(2, 3, 64, 64), {"timm": "resnet10t", "torchvision": "resnet18"}[library]
    plain, both = (
        load_backbone("mine", entry(library, model, stages=(1, 3), std_pool=s)).module for s in (False, True)
    )
    with torch.inference_mode():
        assert both(images).shape[1] == 2 * plain(images).shape[1]


@pytest.mark.parametrize("std_pool", [False, True])
def test_only_what_is_needed_is_kept_and_folded(std_pool):
    network = load_backbone("mine", entry("torchvision", "resnet18", stages=(0, 2), grid=2, std_pool=std_pool)).module
    assert not any(name.startswith("parts.3") for name, _ in network.named_parameters())
    images = torch.randn(2, 3, 64, 64)
    fused = fuse_batch_norms(network, images)
    assert fused is not network and not any(isinstance(part, nn.BatchNorm2d) for part in fused.modules())
    with torch.inference_mode():
        assert torch.allclose(fused(images), network(images), atol=1e-5)


def test_a_transformer_has_maps_of_patches():
    network = load_backbone("mine", entry("timm", "vit_tiny_patch16_224", pixels=224, stages=(2, 5), grid=2))
    with torch.inference_mode():
        assert network.module(interpolate(torch.randn(2, 3, 64, 64), 224)).shape == (2, 2 * 192 * 4)


@pytest.mark.parametrize(
    ("library", "model", "stages", "last"), [("timm", "resnet10t", (1, 5), 4), ("torchvision", "resnet18", (7,), 4)]
)
def test_a_stage_that_is_not_there(library, model, stages, last):
    with pytest.raises(FeatureError) as error:
        load_backbone("mine", entry(library, model, stages=stages))
    assert str(error.value) == f"backbones.mine.stages: no stage {stages[-1]}; this network has 0 to {last}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": [3], "output": "global"}, "stages are maps, not one vector: set output to grid"),
        ({"stages": [4, 3]}, "stages [4, 3]: name each once, in ascending order"),
        ({"stages": [3, 3]}, "stages [3, 3]: name each once, in ascending order"),
        ({"std_pool": True}, "std_pool needs the maps of stages: name some in stages"),
    ],
)
def test_stages_that_make_no_sense(changes, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        entry("timm", "resnet10t", **changes)


def test_a_map_of_zeros_is_no_nan_in_half_precision():
    """1e-12, below which a length counts as zero, is itself zero in float16; a length of 69,000 is infinite in it."""
    for value, length in ((0.0, 0.0), (4000.0, 1.0)):
        maps = torch.full((1, 300, 2, 2), value, dtype=torch.float16)
        assert torch.allclose(StagePool(1)([maps]).float().norm(), torch.tensor(length), atol=1e-3)
