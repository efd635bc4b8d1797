"""Untrained heads of several seeds, as training starts them, and moved off that start."""

import torch
from torch import Generator, Tensor

from heads.models.base import Head
from heads.models.registry import build_head, projection_start
from heads.settings import HeadSettings


def seeded_head(
    settings: HeadSettings, width: int, *, seed: int = 0, train: Tensor | None = None, groups: int = 0
) -> Head:
    start = None if train is None else projection_start(settings, train)
    return build_head(settings, width, Generator().manual_seed(seed), start=start, groups=groups)


def seeded_heads(
    settings: HeadSettings, width: int, *, seed: int = 0, train: Tensor | None = None, groups: int = 0, std: float = 0.0
) -> list[Head]:
    """In use (eval). `std`: of noise on the weights, so that seeds differ, and zeros of the start do too."""
    heads = [seeded_head(settings, width, seed=seed + s, train=train, groups=groups) for s in range(settings.seeds)]
    rng = Generator().manual_seed(1)
    with torch.no_grad():
        for head in heads:
            for parameter in head.parameters():
                parameter.add_(std * torch.randn(parameter.shape, generator=rng))
    return [head.eval() for head in heads]
