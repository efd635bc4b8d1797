"""What training does to features so that a head does not learn them by heart: views, mix-up, noise."""

import numpy as np
import torch
from torch import Generator, Tensor


def pick_views(pooled: Tensor, positions: np.ndarray, draws: list[np.random.Generator]) -> Tensor:
    """pooled (n, V, D), positions (S, ...) -> (S, ..., D): each image in one of its cached views, drawn anew."""
    count = pooled.shape[1]
    rows = positions
    if count > 1:
        rows = positions * count + np.stack([draw.integers(count, size=positions.shape[1:]) for draw in draws])
    # One index of whole rows: three times as fast as indexing rows and views side by side.
    picked = pooled.flatten(0, 1).index_select(0, torch.as_tensor(rows, device=pooled.device).flatten())
    return picked.reshape(*positions.shape, -1)


def mix_blocks(x: Tensor, alpha: float, draws: list[np.random.Generator]) -> Tensor:
    """Mix-up of blocks (Zhang et al. 2018, eq. 1), x (S, M, K, D): l x + (1 - l) x[other], l ~ Beta(alpha, alpha).

    All K images of a block take the same partner block, place by place, and the same share, so they stay alike; the
    larger share is the block's own, so it keeps its group.
    """
    if alpha == 0:
        return x
    blocks = x.shape[1]
    shares = np.stack([draw.beta(alpha, alpha, size=blocks) for draw in draws])
    others = np.stack([draw.permutation(blocks) for draw in draws])
    share = torch.as_tensor(np.maximum(shares, 1 - shares), dtype=x.dtype, device=x.device)[:, :, None, None]
    seed = torch.arange(len(draws), device=x.device)[:, None]
    return share * x + (1 - share) * x[seed, torch.as_tensor(others, device=x.device)]


def add_noise(x: Tensor, noise: float, draws: list[Generator]) -> Tensor:
    """Gaussian noise of expected length `noise` on each vector of x (S, ..., D): a share of a unit vector's length."""
    if noise == 0:
        return x
    drawn = torch.stack([torch.randn(x.shape[1:], generator=draw) for draw in draws])
    return x + drawn.to(x.device) * (noise / x.shape[-1] ** 0.5)
