"""Layers whose initial weights come from a given generator, so that a seed always gives the same head."""

from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import relu

from heads.settings import HeadModel


def linear(width: int, out: int, rng: Generator, *, start: Tensor | None = None) -> nn.Linear:
    """A linear layer (B, width) -> (B, out), its bias at zero.

    Its weights start as `start` (width, out), or normally distributed at He's scale (He et al. 2015, eq. 10).
    """
    # "meta": nothing is drawn from the global generator. torch's skip_init does the same but imports sympy (0.5 s).
    layer = nn.Linear(width, out, device="meta")
    weights = torch.randn((width, out), generator=rng).mul_((2 / width) ** 0.5) if start is None else start
    layer.weight = nn.Parameter(weights.T.to(torch.float32, memory_format=torch.contiguous_format, copy=True))
    layer.bias = nn.Parameter(torch.zeros(out))
    return layer


class Dropout(nn.Module):
    """Dropout that draws from a given generator."""

    def __init__(self, share: float, rng: Generator) -> None:
        super().__init__()
        self.share = share
        self.rng = rng

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return x
        keep = torch.rand(x.shape, generator=self.rng) >= self.share
        return x * keep.to(x.device) / (1 - self.share)


class MLP(nn.Module):
    """(B, width) -> (B, out): hidden layers (linear, ReLU, dropout), then a linear layer.

    The weights of the last layer start at `last_scale` times He's scale.
    """

    def __init__(self, width: int, out: int, settings: HeadModel, rng: Generator, *, last_scale: float) -> None:
        super().__init__()
        widths = [width, *settings.hidden]
        self.hidden = nn.ModuleList(linear(i, o, rng) for i, o in pairwise(widths))
        self.dropout = Dropout(settings.dropout, rng)
        self.last = linear(widths[-1], out, rng)
        with torch.no_grad():
            self.last.weight.mul_(last_scale)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = self.dropout(relu(layer(x)))
        return self.last(x)
