"""Layers for S seeds at once: every parameter has a leading seed axis, so S heads train in one batched pass.

Seed s draws its start from its own generator: it gets the same numbers alone or beside others.
"""

import torch
from torch import Generator, Tensor, nn

Generators = list[Generator]  # one a seed


def generators(seed: int, count: int) -> Generators:
    """The generators of seeds `seed`, `seed + 1`, ..."""
    return [torch.Generator().manual_seed(seed + s) for s in range(count)]


def stacked_normal(shape: tuple[int, ...], std: float, draws: Generators) -> Tensor:
    """(S, *shape), each seed's part from its own generator."""
    return torch.stack([torch.randn(shape, generator=draw) * std for draw in draws])


class Linear(nn.Module):
    """x (S, B, I) -> (S, B, O). Starts as `start` (I, O) for every seed, or at He's scale (He et al. 2015, eq. 10)."""

    def __init__(self, width: int, out: int, draws: Generators, *, start: Tensor | None = None) -> None:
        super().__init__()
        if start is None:
            weight = stacked_normal((width, out), (2 / width) ** 0.5, draws)
        else:
            weight = start.expand(len(draws), width, out).clone()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(len(draws), 1, out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class LayerNorm(nn.Module):
    """Layer normalisation with a gain and a bias a seed (Ba et al. 2016)."""

    def __init__(self, width: int, seeds: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(seeds, 1, width))
        self.bias = nn.Parameter(torch.zeros(seeds, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x, x.shape[-1:]) * self.gain + self.bias


class Dropout(nn.Module):
    """Dropout whose mask comes from each seed's own generator."""

    def __init__(self, share: float, draws: Generators) -> None:
        super().__init__()
        self.share = share
        self.draws = draws

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return x
        keep = torch.stack([torch.rand(x.shape[1:], generator=draw) >= self.share for draw in self.draws])
        return x * keep.to(x.device) / (1 - self.share)
