"""A few images through a network, now: for a comparison, a query, a page. Many images are `extract`'s work."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from features.backbones.registry import Network
from features.errors import FeatureError
from features.extraction.replicas import CPU_BATCH, Compute, Lane, forward


class Encoder:
    """One lane with all threads, made ready once.

    Without folded batch norms and without padding to a batch of one size: both pay from some dozens of images on. So
    features agree with those of `extract` but for rounding (tests: cosine above 0.9999).
    """

    def __init__(self, network: Network, *, device: torch.device, dtype: torch.dtype) -> None:
        on_cpu = device.type == "cpu"
        module = network.module
        if not on_cpu or dtype != torch.float32:
            module = copy.deepcopy(module)  # `to` works in place, and the network may have other users
        module = module.to(device, dtype if on_cpu else torch.float32).eval().requires_grad_(False)
        if network.convolutional:
            module = module.to(memory_format=torch.channels_last)
        self.network = network
        self._lane = Lane(module, device, None)
        self._compute = Compute(devices=(device,), dtype=dtype, batch=1, workers=0)

    def __call__(self, images: Sequence[Image.Image]) -> np.ndarray:
        """RGB pictures (n) -> (n, D) float16, as features are stored: the first view, or the average of all.

        Raises:
            FeatureError: a feature is NaN or beyond float16.
        """
        parts = []
        for start in range(0, len(images), CPU_BATCH):
            part = images[start : start + CPU_BATCH]
            squares = torch.stack([self.network.preprocess.squares(image, self.network.crops) for image in part])
            parts.append(forward(self._lane, self.network, self._compute, squares)[:, 0])
        half = torch.cat(parts).half().numpy()
        bad = ~np.isfinite(half).all(1)
        if bad.any():
            raise FeatureError(
                f"image {int(bad.argmax()) + 1}: its features are NaN or beyond float16; "
                "look at the weights and the image"
            )
        return half
