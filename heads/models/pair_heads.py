"""Heads that classify a pair: a shared network encodes both images, a classifier of the two says how alike."""

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from heads.models.embedding_heads import Branch, Head
from heads.models.layers import Generators, Linear
from heads.settings import HeadSettings

PAIRS_AT_ONCE = 2**22  # numbers in a hidden layer over all pairs of a block: 16 MB


class PairHead(Head):
    """Shared deep network (`hidden`, `dim`; none of both: the input itself), then a classifier of (query, gallery).

    The classifier is linear -> ReLU over `classifier` widths -> one logit. Its first layer on the concatenation
    [a; b] is a Wa + b Wb, so each image goes through it once, not once a pair.

    With `last_relu` the logit itself passes a ReLU: report 1's BC, whose probability is never below one half.
    """

    embeds = False

    def __init__(self, width: int, settings: HeadSettings, draws: Generators, *, last_relu: bool) -> None:
        super().__init__("cosine")
        deep = not last_relu and (settings.hidden or settings.dim)
        out = (settings.dim or settings.hidden[-1]) if deep else width
        self.deep = Branch(width, out, settings, draws, last=1.0) if deep else None
        widths = [*settings.classifier, 1]
        self.first = Linear(2 * out, widths[0], draws)
        self.rest = nn.ModuleList(Linear(i, o, draws) for i, o in pairwise(widths))
        self.last_relu = last_relu

    def encode(self, x: Tensor) -> Tensor:
        return x if self.deep is None else relu(self.deep(x))

    def block(self, a: Tensor, b: Tensor) -> Tensor:
        query, gallery = self._halves(a, b)  # (S, A, H), (S, B, H)
        size = max(1, PAIRS_AT_ONCE // (gallery.shape[1] * gallery.shape[2]))
        parts = [self._logit(part.unsqueeze(2) + gallery.unsqueeze(1)) for part in query.split(size, 1)]
        return torch.cat(parts, 1)

    def rowwise(self, a: Tensor, b: Tensor) -> Tensor:
        seeds, anchors, others, width = b.shape
        query, gallery = self._halves(a, b.reshape(seeds, anchors * others, width))
        return self._logit(query.unsqueeze(2) + gallery.reshape(seeds, anchors, others, -1))

    def _halves(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        half = self.first.weight.shape[1] // 2
        query = torch.bmm(a, self.first.weight[:, :half]) + self.first.bias
        return query, torch.bmm(b, self.first.weight[:, half:])

    def _logit(self, hidden: Tensor) -> Tensor:
        """(S, A, L, H) before the first ReLU -> (S, A, L)."""
        seeds, anchors, others, width = hidden.shape
        flat = hidden.reshape(seeds, anchors * others, width)
        for layer in self.rest:
            flat = layer(relu(flat))
        logit = flat.reshape(seeds, anchors, others)
        return relu(logit) if self.last_relu else logit


class DistanceLogitHead(Head):
    """Euclidean distance of the embeddings, batch norm, and a unit on it: logit = w (d - mean) / std + c (report 5)."""

    embeds = False

    def __init__(self, width: int, settings: HeadSettings, draws: Generators) -> None:
        super().__init__("euclidean")
        seeds = len(draws)
        self.deep = Branch(width, settings.dim or width, settings, draws, last=1.0)
        # The unit starts the right way round: near is alike.
        self.gain = nn.Parameter(-torch.ones(seeds, 1, 1))
        self.bias = nn.Parameter(torch.zeros(seeds, 1, 1))
        self.register_buffer("mean", torch.zeros(seeds, 1, 1))
        self.register_buffer("variance", torch.ones(seeds, 1, 1))

    def encode(self, x: Tensor) -> Tensor:
        return self.deep(x)

    def block(self, a: Tensor, b: Tensor) -> Tensor:
        return self._logit(-super().block(a, b))

    def rowwise(self, a: Tensor, b: Tensor) -> Tensor:
        return self._logit(-super().rowwise(a, b))

    def _logit(self, distance: Tensor) -> Tensor:
        """Batch statistics in training, running ones (momentum 0.1, Ioffe & Szegedy 2015) in use."""
        mean, variance = self.mean, self.variance
        if self.training:
            mean = distance.mean((1, 2), keepdim=True)
            variance = distance.var((1, 2), correction=0, keepdim=True)
            with torch.no_grad():
                self.mean.lerp_(mean, 0.1)
                self.variance.lerp_(variance, 0.1)
        return self.gain * (distance - mean) / (variance + 1e-5).sqrt() + self.bias


def seed_of(head: Head, seed: int) -> Head:
    """The head of one seed alone, S = 1."""
    alone = copy.deepcopy(head)
    for module in alone.modules():
        for name, value in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(value[seed : seed + 1].detach(), requires_grad=False))
        for name, value in module.named_buffers(recurse=False):
            setattr(module, name, value[seed : seed + 1])
    return alone
