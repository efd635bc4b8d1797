"""Features of a few images at once, for a comparison, a query or a page; `extract` is for many."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from features.backbones.registry import LoadedBackbone
from features.extraction.float16 import to_float16
from features.extraction.replicas import CPU_BATCH, Compute, Replica, forward, inference_module


class Encoder:
    """One replica with all threads, built once. It runs the code of `extract`, so an image gets the features that
    `extract` stores for it: cosine at least 0.99999 on the same machine.
    """

    def __init__(self, network: LoadedBackbone, *, device: torch.device, dtype: torch.dtype) -> None:
        self.network = network
        self._compute = Compute(devices=(device,), dtype=dtype, batch=1, workers=0)
        self._replica = Replica(inference_module(network, self._compute).to(device), device, None)

    def __call__(self, images: Sequence[Image.Image]) -> np.ndarray:
        """RGB pictures (n) -> (n, D) float16, as features are stored: the first view, or the average of all.

        Raises:
            FeatureError: as `to_float16`.
        """
        parts = []
        for start in range(0, len(images), CPU_BATCH):
            part = images[start : start + CPU_BATCH]
            pixels = torch.stack([self.network.preprocess.views(image, self.network.crops) for image in part])
            parts.append(forward(self._replica, self.network, self._compute, pixels)[:, 0])
        return to_float16(torch.cat(parts), lambda place: f"image {place + 1}")
