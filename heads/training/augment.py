"""Augmentation of features in training: views, noise."""

import numpy as np
import torch
from torch import Generator, Tensor


def pick_views(views: Tensor, positions: np.ndarray, rng: np.random.Generator) -> Tensor:
    """views (n, V, D), positions (...) of 0 to n - 1 -> (..., D): each image in one of its V views, at random."""
    count = views.shape[1]
    rows = positions
    if count > 1:
        rows = positions * count + rng.integers(count, size=positions.shape)
    # One index of whole rows: three times as fast as indexing rows and views side by side.
    picked = views.flatten(0, 1).index_select(0, torch.as_tensor(rows, device=views.device).flatten())
    return picked.unflatten(0, positions.shape)


def add_noise(x: Tensor, noise: float, rng: Generator) -> Tensor:
    """Gaussian noise of expected length `noise` on each vector of x (..., D): a share of a unit vector's length."""
    if noise == 0:
        return x
    return x + torch.randn(x.shape, generator=rng).to(x.device) * (noise / x.shape[-1] ** 0.5)
