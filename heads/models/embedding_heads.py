"""Heads that embed: (S, B, D) -> (S, B, E), alike when the embeddings are near. S heads, one a seed, in one pass."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize, relu, softmax

from heads.models.layers import Dropout, Generators, LayerNorm, Linear
from heads.models.transforms import principal_axes
from heads.settings import HeadSettings


class Head(nn.Module):
    """Two contracts: `encode` for the embeddings, `block` and `rowwise` for similarities of encoded rows."""

    embeds = True
    unit = True  # only the direction of an embedding means something, where alike is a cosine

    def __init__(self, distance: str) -> None:
        super().__init__()
        self.distance = distance

    def encode(self, x: Tensor) -> Tensor:
        """x (S, B, D) -> (S, B, E)"""
        return x

    def block(self, a: Tensor, b: Tensor) -> Tensor:
        """Every row of a (S, A, E) against every row of b (S, B, E) -> (S, A, B); higher is more alike."""
        if self.distance == "cosine":
            return torch.bmm(normalize(a, dim=-1), normalize(b, dim=-1).mT)
        # |a - b|^2 = |a|^2 + |b|^2 - 2ab: one matrix product, where cdist would walk every pair.
        squared = a.square().sum(-1, keepdim=True) + b.square().sum(-1).unsqueeze(1) - 2 * torch.bmm(a, b.mT)
        return -_spread(squared, self.distance)

    def rowwise(self, a: Tensor, b: Tensor) -> Tensor:
        """Row i of a (S, A, E) against its own rows b (S, A, L, E) -> (S, A, L)."""
        if self.distance == "cosine":
            return torch.einsum("sae,sale->sal", normalize(a, dim=-1), normalize(b, dim=-1))
        return -_spread((a.unsqueeze(2) - b).square().sum(-1), self.distance)


def _spread(squared: Tensor, distance: str) -> Tensor:
    squared = squared.clamp(min=0)
    # The square root's gradient at 0 is infinite: a pair of equal rows would poison the batch with NaN.
    return squared if distance == "squared_euclidean" else (squared + 1e-12).sqrt()


class LinearHead(Head):
    """x @ W + b. Starts on the training rows' main directions: at plain cosine, as far as `dim` allows."""

    def __init__(self, start: Tensor, distance: str, draws: Generators) -> None:
        super().__init__(distance)
        self.project = Linear(*start.shape, draws, start=start)

    def encode(self, x: Tensor) -> Tensor:
        return self.project(x)


class Branch(nn.Module):
    """Hidden layers (linear, norm, ReLU, dropout), then a linear layer to `out` that starts at `last` of He's scale."""

    def __init__(self, width: int, out: int, settings: HeadSettings, draws: Generators, *, last: float) -> None:
        super().__init__()
        widths = [width, *settings.hidden]
        self.hidden = nn.ModuleList(Linear(i, o, draws) for i, o in pairwise(widths))
        self.norms = nn.ModuleList(
            LayerNorm(o, len(draws)) if settings.norm == "layer" else nn.Identity() for o in widths[1:]
        )
        self.dropout = Dropout(settings.dropout, draws)
        self.last = Linear(widths[-1], out, draws)
        with torch.no_grad():
            self.last.weight.mul_(last)

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            x = self.dropout(relu(norm(layer(x))))
        return self.last(x)


class MlpHead(Head):
    """A linear path plus a branch of hidden layers whose last layer starts at zero: the start is `linear`'s."""

    def __init__(self, start: Tensor, settings: HeadSettings, draws: Generators) -> None:
        super().__init__(settings.distance)
        self.project = Linear(*start.shape, draws, start=start)
        self.branch = Branch(start.shape[0], start.shape[1], settings, draws, last=0.0)

    def encode(self, x: Tensor) -> Tensor:
        return self.project(x) + self.branch(x)


class ResidualHead(Head):
    """x + gate * branch(x). The gate starts at zero (ReZero, Bachlechner et al. 2021): exactly at plain cosine."""

    def __init__(self, width: int, settings: HeadSettings, draws: Generators) -> None:
        super().__init__(settings.distance)
        self.branch = Branch(width, width, settings, draws, last=1.0)
        self.gate = nn.Parameter(torch.zeros(len(draws), 1, 1))

    def encode(self, x: Tensor) -> Tensor:
        return x + self.gate * self.branch(x)


class PseudoClassHead(Head):
    """Softmax over `dim` pseudo-classes; alike is the cosine of the softmax vectors (report 1, CL)."""

    def __init__(self, width: int, out: int, settings: HeadSettings, draws: Generators) -> None:
        super().__init__("cosine")
        self.branch = Branch(width, out, settings, draws, last=1.0)

    def encode(self, x: Tensor) -> Tensor:
        return softmax(self.branch(x), dim=-1)


class MembershipHead(Head):
    """m = sigmoid(branch(x) / temperature - log(C - 1)): how surely an image belongs to each of the C training groups,
    one against the rest. The embedding is sqrt(m), so a product of two sums sqrt(m_c m'_c) over the groups.

    Images of other groups are described by the groups they resemble (classemes, Torresani et al. 2010), and those that
    resemble none have a short embedding: beside the input (`keep`) it then weighs little, and plain cosine is left.
    A softmax has no such way out. The start is m = 1 / C for all: with `keep`, the order of plain cosine.
    """

    unit = False

    def __init__(self, width: int, groups: int, settings: HeadSettings, draws: Generators) -> None:
        super().__init__("cosine")
        self.branch = Branch(width, groups, settings, draws, last=0.0)
        self.groups, self.temperature = groups, settings.temperature

    def encode(self, x: Tensor) -> Tensor:
        logits = self.branch(x) / self.temperature - math.log(self.groups - 1)
        # Half the logarithm, not the root: the root of a share that underflows has an infinite gradient.
        return (0.5 * logsigmoid(logits)).exp()

    def roots(self, encoded: Tensor) -> Tensor:
        """sqrt(m) (S, B, C), from what `encode` gave."""
        return encoded


class BesideHead(Head):
    """The input kept beside what is learned: similarity = keep * cos(inputs) + (1 - keep) * cos(embeddings).

    A head alone overfits to the groups it saw; the input beside it still tells the unseen ones apart. Embeddings whose
    length means something keep it, and the whole is compared by its cosine.
    """

    def __init__(self, learned: Head, keep: float) -> None:
        super().__init__("cosine")
        self.learned = learned
        self.keep = keep

    def encode(self, x: Tensor) -> Tensor:
        kept, learned = normalize(x, dim=-1), self.learned.encode(x)
        if self.learned.unit:
            learned = normalize(learned, dim=-1)
        return torch.cat([self.keep**0.5 * kept, (1 - self.keep) ** 0.5 * learned], -1)

    def roots(self, encoded: Tensor) -> Tensor:
        """The learned part's own, for `MembershipHead`."""
        return self.learned.roots(encoded[..., -self.learned.groups :] / (1 - self.keep) ** 0.5)


def linear_start(width: int, out: int, train: Tensor | None) -> Tensor:
    """(D, out): the identity where the width stays, else the main directions (and zero columns past D)."""
    if out == width:
        return torch.eye(width)
    start = torch.zeros(width, out)
    if train is not None:
        start[:, : min(out, width)] = principal_axes(train, min(out, width))
    return start
