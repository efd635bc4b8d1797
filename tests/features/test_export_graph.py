"""The graph against the path that extraction takes, on pictures of many shapes."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from features.backbones.preprocess import Preprocess
from features.backbones.registry import LoadedBackbone
from features.export_graph import ConcatGraph, FeatureGraph, ResizeAndCrop, half_even
from features.extraction.replicas import Compute, forward, inference_module, make_replicas
from features.storage.concat import concatenate

SHAPES = [(16, 16), (16, 23), (23, 16), (40, 31), (31, 40), (12, 160), (160, 12), (57, 57), (101, 64)]
FITS = [("shortest", 16, 16), ("shortest", 16, 19), ("shortest", 16, 20), ("longest", 24, 24), ("squash", 16, 17)]


def picture(shape: tuple[int, int]) -> Image.Image:
    pixels = np.random.default_rng(shape[0]).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(shape[::-1], Image.Resampling.BICUBIC)


def as_bytes(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("fit", "size", "resize"), FITS)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_squares_are_those_of_extraction_within_two_levels(shape, fit, size, resize, interpolation):
    preprocess = Preprocess(size=size, resize=resize, fit=fit, interpolation=interpolation)
    wanted = preprocess.pixels(picture(shape)).int()
    got = ResizeAndCrop(preprocess, size=size, resize=resize)(as_bytes(picture(shape)))[0]
    assert got.shape == wanted.shape and torch.equal(got, got.round())
    off = (got.int() - wanted).abs()
    assert off.max() <= 2 and off.float().mean() < 0.1


def test_half_even_is_pythons_round():
    for above in range(60):
        for below in range(1, 13):
            assert half_even(above, below) == round(above / below), (above, below)


class Toy(nn.Module):
    """Position and colour both matter, so a wrong crop or a missed flip shows."""

    def __init__(self, out: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(out)
        self.register_buffer("matrix", torch.randn(3 * 16 * 16, out, generator=draw))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self.matrix


def network(out: int = 6, **views: object) -> LoadedBackbone:
    return LoadedBackbone(
        Toy(out), Preprocess(size=16, resize=18), weights_sha256="", convolutional=False, **views
    )  # 16 of 18: a crop


def extracted(net: LoadedBackbone, image: Image.Image) -> torch.Tensor:
    compute = Compute((torch.device("cpu"),), torch.float32, batch=1, workers=0)
    pixels = net.preprocess.views(image, net.crops)[None]
    replica = make_replicas(inference_module(net, compute), compute)[0]
    return forward(replica, net, compute, pixels)[:, 0]  # what load_features gives a head


@pytest.mark.parametrize(
    "views",
    [{}, {"flip": True, "crops": 5}, {"average": True, "flip": True}]
    + [{"average": True, "flip": flip, "crops": crops} for flip in (False, True) for crops in (1, 3, 5)],
)
def test_features_are_those_that_a_head_gets(views):
    net = network(**views)
    for shape in SHAPES:
        wanted = extracted(net, picture(shape))
        got = FeatureGraph(net)(as_bytes(picture(shape)))
        assert got.shape == wanted.shape
        assert torch.cosine_similarity(got, wanted).item() > 0.9999, shape
        assert (got - wanted).norm() <= 0.03 * wanted.norm(), shape


def test_a_missing_view_would_show():
    image = picture((40, 31))
    full = extracted(network(average=True, flip=True, crops=5), image)
    fewer = FeatureGraph(network(average=True, flip=True, crops=4))(as_bytes(image))
    assert torch.cosine_similarity(full, fewer).item() < 0.9999


def test_fused_graphs_are_fused_features():
    nets, weights = (network(6), network(9)), (1.0, 0.5)
    image = picture((40, 31))
    wanted = concatenate(*(extracted(net, image).numpy() for net in nets), weights=weights)
    got = ConcatGraph(tuple(FeatureGraph(net) for net in nets), weights)(as_bytes(image))
    np.testing.assert_allclose(got.numpy(), wanted, atol=0.02)


def test_normalisation_is_the_networks_own():
    net = network()
    other = dataclasses.replace(net, preprocess=dataclasses.replace(net.preprocess, mean=(0.1, 0.2, 0.3)))
    image = as_bytes(picture((40, 31)))
    assert not torch.allclose(FeatureGraph(net)(image), FeatureGraph(other)(image))
