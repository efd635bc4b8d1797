"""The base of all heads: features to embeddings, and the similarity of two embeddings."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import normalize

from heads.settings import HeadSettings


class Head(nn.Module):
    """Features (B, D) -> embeddings (B, E). This class itself is the head `identity`, which returns its input.

    Heads that embed compare by `distance`: cosine, euclidean or squared_euclidean. Classifiers of pairs override
    `pairwise` and `elementwise` to return the logit of "same".
    """

    embeds = True  # similarity is the cosine or the negated distance of two embeddings
    scale_invariant = True  # with distance cosine the length of an embedding has no meaning

    def __init__(self, distance: str) -> None:
        super().__init__()
        self.distance = distance

    def forward(self, x: Tensor) -> Tensor:
        """x (B, D) -> (B, E)"""
        return x

    def pairwise(self, a: Tensor, b: Tensor) -> Tensor:
        """Every row of a (A, E) with every row of b (B, E) -> similarities (A, B); higher is more similar."""
        if self.distance == "cosine":
            return normalize(a, dim=-1) @ normalize(b, dim=-1).T
        # |a - b|^2 = |a|^2 + |b|^2 - 2ab: one matrix product, faster than cdist.
        squared = a.square().sum(-1, keepdim=True) + b.square().sum(-1) - 2 * (a @ b.T)
        return -_distance(squared, self.distance)

    def elementwise(self, a: Tensor, b: Tensor) -> Tensor:
        """Each row of a (..., E) with the row of b (..., E) at its place, broadcast -> similarities (...)."""
        if self.distance == "cosine":
            return torch.einsum("...e,...e->...", normalize(a, dim=-1), normalize(b, dim=-1))
        return -_distance((a - b).square().sum(-1), self.distance)

    def sqrt_membership(self, embeddings: Tensor) -> Tensor:
        """Embeddings (B, E) that this head gave -> sqrt(m) (B, C), its degrees of membership in C training groups; only
        of `membership`, see `heads.models.cosine_mix`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no memberships")


def _distance(squared: Tensor, distance: str) -> Tensor:
    squared = squared.clamp(min=0)
    # The gradient of the square root at 0 is infinite: one pair of equal rows would turn every weight into NaN.
    return squared if distance == "squared_euclidean" else (squared + 1e-12).sqrt()


@dataclass(frozen=True)
class HeadInputs:
    """Arguments of the functions that build heads."""

    settings: HeadSettings
    width: int  # of the inputs
    out: int  # width of the embedding, where the head has a choice
    start: Tensor | None  # (width, out): initial weights of a linear path, see `pca_init`; None: they are loaded later
    groups: int  # of training
    rng: Generator  # random weights are drawn from it


Builder = Callable[[HeadInputs], Head]
