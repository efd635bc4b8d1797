"""Augmentation of features in training: views, mix-up, noise."""

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


def mix_blocks(x: Tensor, alpha: float, rng: np.random.Generator) -> Tensor:
    """Mix-up of blocks (Zhang et al. 2018, eq. 1), x (M, K, D): l x + (1 - l) x[other], l ~ Beta(alpha, alpha).

    All K images of a block are mixed with those of one partner block, in order, with one share, so they stay similar;
    the larger share is the block's own, so its group stays.
    """
    if alpha == 0:
        return x
    shares = rng.beta(alpha, alpha, size=len(x))
    other = torch.as_tensor(rng.permutation(len(x)), device=x.device)
    share = torch.as_tensor(np.maximum(shares, 1 - shares), dtype=x.dtype, device=x.device)[:, None, None]
    return share * x + (1 - share) * x[other]


def add_noise(x: Tensor, noise: float, rng: Generator) -> Tensor:
    """Gaussian noise of expected length `noise` on each vector of x (..., D): a share of a unit vector's length."""
    if noise == 0:
        return x
    return x + torch.randn(x.shape, generator=rng).to(x.device) * (noise / x.shape[-1] ** 0.5)
