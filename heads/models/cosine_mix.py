"""For groups that training never saw: the input beside what is learned, and membership in the training groups."""

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import logsigmoid, normalize

from heads.models.base import Builder, Head
from heads.models.layers import MLP
from heads.settings import HeadSettings


class MembershipHead(Head):
    """m = sigmoid(mlp(x) / temperature - log(C - 1)): the degree to which an image belongs to each of the C training
    groups, one against the rest. The embedding is sqrt(m) (B, C), so the product of two is sum_c sqrt(m_c m'_c).

    Images of other groups are described by the groups they resemble (classemes, Torresani et al. 2010), and an image
    that resembles none has a short embedding: beside the input (`cosine_weight`) it then weighs little, and the input's
    cosine is left. A softmax would have to choose a group. Initially m = 1 / C for all: with `cosine_weight`, the
    ranking of the input's cosine.
    """

    scale_invariant = False

    def __init__(self, width: int, groups: int, settings: HeadSettings, rng: Generator) -> None:
        super().__init__("cosine")
        self.mlp = MLP(width, groups, settings, rng, last_scale=0.0)
        self.groups, self.temperature = groups, settings.temperature

    def forward(self, x: Tensor) -> Tensor:
        logits = self.mlp(x) / self.temperature - math.log(self.groups - 1)
        # Half of the logarithm: the square root of a value that underflows would have an infinite gradient.
        return (0.5 * logsigmoid(logits)).exp()

    def sqrt_membership(self, embeddings: Tensor) -> Tensor:
        return embeddings


class CosineMix(Head):
    """The input kept beside what is learned: similarity = w cos(inputs) + (1 - w) cos(embeddings), w = `cosine_weight`.

    A head alone overfits to the groups of training; the input still discriminates unseen groups. Embeddings whose
    length has a meaning keep it; the concatenation is compared by its cosine.
    """

    def __init__(self, learned: Head, cosine_weight: float) -> None:
        super().__init__("cosine")
        self.learned = learned
        self.cosine_weight = cosine_weight

    def forward(self, x: Tensor) -> Tensor:
        kept, learned = normalize(x, dim=-1), self.learned(x)
        if self.learned.scale_invariant:
            learned = normalize(learned, dim=-1)
        return torch.cat([self.cosine_weight**0.5 * kept, (1 - self.cosine_weight) ** 0.5 * learned], -1)

    def sqrt_membership(self, embeddings: Tensor) -> Tensor:
        assert isinstance(self.learned, MembershipHead), "no other head has memberships"
        learned = embeddings[..., -self.learned.groups :] / (1 - self.cosine_weight) ** 0.5
        return self.learned.sqrt_membership(learned)


HEADS: dict[str, Builder] = {
    "membership": lambda given: MembershipHead(given.width, given.groups, given.settings, given.rng),
}
