"""Heads that classify pairs: a shared network embeds both images, a classifier of the two gives the logit of "same"."""

from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import linear as apply_linear
from torch.nn.functional import relu

from heads.models.base import Builder, Head
from heads.models.layers import MLP, linear
from heads.settings import HeadSettings

PAIRS_AT_ONCE = 2**22  # numbers in a hidden layer over all pairs of a chunk: 16 MB


class PairHead(Head):
    """Shared network (`hidden`, `dim`; with neither: the input itself), then a classifier of (query, gallery).

    The classifier is linear, then ReLU over the widths of `classifier`, then one logit. Its first layer on the
    concatenation [a; b] is a Wa + b Wb, so each image passes through it once, not once per pair.

    With `last_relu` (`pair_bc`) the logit itself passes a ReLU, so that its probability is never below one half: the
    "BC" head of the Tiny ImageNet siamese report.
    """

    embeds = False

    def __init__(self, width: int, settings: HeadSettings, rng: Generator, *, last_relu: bool) -> None:
        super().__init__("cosine")
        shared = not last_relu and (settings.hidden or settings.dim)
        out = (settings.dim or settings.hidden[-1]) if shared else width
        self.shared = MLP(width, out, settings, rng, last_scale=1.0) if shared else None
        widths = [*settings.classifier, 1]
        self.first = linear(2 * out, widths[0], rng)
        self.rest = nn.ModuleList(linear(i, o, rng) for i, o in pairwise(widths))
        self.last_relu = last_relu

    def forward(self, x: Tensor) -> Tensor:
        return x if self.shared is None else relu(self.shared(x))

    def pairwise(self, a: Tensor, b: Tensor) -> Tensor:
        query, gallery = self._first_layer(a, b)  # (A, H), (B, H)
        if torch.is_grad_enabled():
            return self._logit(query.unsqueeze(1) + gallery)  # all of it stays in memory for the gradients
        # One tensor for all parts: small results between the large hidden layers would break memory up into gaps that
        # the next layer does not fit into (12 GB for 2,500 rows with themselves, where the result takes 25 MB).
        logits = query.new_empty(len(query), len(gallery))
        size = max(1, PAIRS_AT_ONCE // max(1, gallery.numel()))
        for part, out in zip(query.split(size), logits.split(size), strict=True):
            out.copy_(self._logit(part.unsqueeze(1) + gallery))
        return logits

    def elementwise(self, a: Tensor, b: Tensor) -> Tensor:
        query, gallery = self._first_layer(a, b)
        return self._logit(query + gallery)

    def _first_layer(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        of_query, of_gallery = self.first.weight.chunk(2, dim=1)
        return apply_linear(a, of_query, self.first.bias), apply_linear(b, of_gallery)

    def _logit(self, hidden: Tensor) -> Tensor:
        """(..., H) before the first ReLU -> (...)"""
        for layer in self.rest:
            hidden = layer(relu(hidden))
        logit = hidden.squeeze(-1)
        return relu(logit) if self.last_relu else logit


class DistanceLogitHead(Head):
    """Euclidean distance of the embeddings, batch norm, and one unit: logit = w (d - mean) / std + c.

    The classifier of the Omniglot alphabets report.
    """

    embeds = False
    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, settings: HeadSettings, rng: Generator) -> None:
        super().__init__("euclidean")
        self.shared = MLP(width, settings.dim or width, settings, rng, last_scale=1.0)
        # Initially negative: a small distance means "same".
        self.gain = nn.Parameter(-torch.ones(()))
        self.bias = nn.Parameter(torch.zeros(()))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("variance", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(x)

    def pairwise(self, a: Tensor, b: Tensor) -> Tensor:
        return self._logit(-super().pairwise(a, b))

    def elementwise(self, a: Tensor, b: Tensor) -> Tensor:
        return self._logit(-super().elementwise(a, b))

    def _logit(self, distance: Tensor) -> Tensor:
        """Statistics of the batch in training, running ones (momentum 0.1, Ioffe & Szegedy 2015) in use."""
        mean, variance = self.mean, self.variance
        if self.training:
            mean, variance = distance.mean(), distance.var(correction=0)
            with torch.no_grad():
                self.mean.lerp_(mean, 0.1)
                self.variance.lerp_(variance, 0.1)
        return self.gain * (distance - mean) / (variance + 1e-5).sqrt() + self.bias


HEADS: dict[str, Builder] = {
    "pair_bc": lambda given: PairHead(given.width, given.settings, given.rng, last_relu=True),
    "pair_mlp": lambda given: PairHead(given.width, given.settings, given.rng, last_relu=False),
    "distance_logit": lambda given: DistanceLogitHead(given.width, given.settings, given.rng),
}
