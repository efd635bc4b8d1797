"""Where two pictures agree: cell-to-cell similarity of a network's local features, as heat maps over both.

A cell is as hot as the largest inner product of its features with those of a cell of the other picture: a cosine
weighted by the lengths of both, so that plain ground, where features are short, stays cold. (Stylianou, Souvenir, Pless
2019, "Visualizing Deep Similarity Networks", decompose the similarity of averaged maps into the same products.)
"""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from features.backbones.registry import load_backbone
from features.errors import FeatureError
from features.extraction.encode import Encoder
from pipeline.inference.feature_sources import FeatureSet

CELLS = 7  # along a side
COLOURS = np.array([[70, 70, 160], [200, 60, 120], [255, 140, 0], [255, 220, 60]], np.float32)  # from cold to hot
OPACITY = 0.5  # of the colours over the picture


class LocalFeatures:
    """Maps of one network before it averages over the picture."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def heat_maps(self, a: Image.Image, b: Image.Image) -> tuple[Image.Image, Image.Image]:
        """Two RGB pictures, each as the network is given it with the map of its agreement laid over."""
        cells = torch.from_numpy(self._encoder([a, b])).float().unflatten(1, (-1, CELLS, CELLS))
        heats = agreement(cells[0], cells[1])
        pixels = [self._encoder.network.preprocess.views(picture, 0)[0] for picture in (a, b)]
        first, second = (
            overlay(Image.fromarray(square.permute(1, 2, 0).numpy()), heat)
            for square, heat in zip(pixels, heats, strict=True)
        )
        return first, second


def local_features(feature_set: FeatureSet, *, device: torch.device) -> LocalFeatures | None:
    """Of the first network of `feature_set` that gives a map; None where none does, or its weights are gone."""
    for part in feature_set.parts:
        if "finetune" in part.provenance:  # the entry names the network that it started as
            continue
        one_view = {"output": "grid", "grid": CELLS, "stages": (), "flip": False, "crops": 0, "average": False}
        try:
            network = load_backbone(part.name, part.entry.model_copy(update=one_view))
            return LocalFeatures(Encoder(network, device=device, dtype=torch.float32))
        except FeatureError:
            continue
    return None


def agreement(a: torch.Tensor, b: torch.Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Maps (C, H, W), (C, H', W') -> heats (H, W), (H', W') in [0, 1]; 1 where the longest cells are parallel."""
    shapes = [maps.shape[1:] for maps in (a, b)]
    left, right = (maps.flatten(1).T for maps in (a, b))  # (cells, C)
    products = (left @ right.T).clamp(min=0)
    longest = max(float(left.norm(dim=1).max() * right.norm(dim=1).max()), 1e-12)
    best = (products.amax(1), products.amax(0))
    first, second = ((heat / longest).reshape(shape).numpy() for heat, shape in zip(best, shapes, strict=True))
    return first, second


def overlay(picture: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """RGB: `heat` (H, W) in [0, 1] in colours over `picture`."""
    smooth = Image.fromarray(heat.astype(np.float32)).resize(picture.size, Image.Resampling.BICUBIC)
    at = np.clip(np.asarray(smooth), 0, 1) * (len(COLOURS) - 1)
    low = np.minimum(at.astype(int), len(COLOURS) - 2)
    share = (at - low)[..., None]
    colour = COLOURS[low] * (1 - share) + COLOURS[low + 1] * share
    mixed = np.asarray(picture.convert("RGB"), np.float32) * (1 - OPACITY) + colour * OPACITY
    return Image.fromarray(np.rint(mixed).astype(np.uint8))
