"""A trained head as it is used: features in, one code a row; the similarity of two codes is the mean over seeds.

Scores look at each seed alone, to say how far seeds lie apart. A person with two pictures wants one answer, and that is
the mean of the seeds; `head.json` has the threshold and the probability that belong to it.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from heads.models.embedding_heads import Head
from heads.store import TrainedHead


def is_cosine(trained: TrainedHead) -> bool:
    """Whether the inner product of two codes is their similarity."""
    return trained.head.embeds and trained.head.distance == "cosine"


@torch.no_grad()
def encode(trained: TrainedHead, features: Tensor) -> Tensor:
    """Features (N, D) -> codes (N, S * E) float32, the seeds side by side.

    Of a cosine head they have length 1 and each seed's part has 1 / sqrt(S): their inner product is the mean cosine.

    Raises:
        HeadError: features of another width than those of training.
    """
    return joined(trained.head, trained.embeddings(features))


def joined(head: Head, encoded: Tensor) -> Tensor:
    """What a head makes of rows, (S, N, E) -> their codes (N, S * E)."""
    encoded = encoded[: different_seeds(head, len(encoded))]
    if head.embeds and head.distance == "cosine":
        encoded = normalize(encoded, dim=-1) / len(encoded) ** 0.5
    return encoded.transpose(0, 1).flatten(1)


@torch.no_grad()
def compare(trained: TrainedHead, a: Tensor, b: Tensor) -> Tensor:
    """Codes (A, W) and (B, W) -> similarities (A, B) float32. Of a classifier of pairs `a` asks and `b` answers."""
    if is_cosine(trained):
        return a @ b.T
    shape = (different_seeds(trained.head, trained.settings.seeds), -1)
    left, right = (codes.unflatten(1, shape).transpose(0, 1).contiguous() for codes in (a, b))
    if trained.head.embeds:  # a distance and its square rank alike; thresholds speak of the distance itself
        return -torch.cdist(left, right).mean(0)
    return trained.head.block(left, right).mean(0)


def different_seeds(head: Head, seeds: int) -> int:
    """How many parts a code has: S; 1 where there is nothing that seeds could have learned differently."""
    return seeds if any(True for _ in head.parameters()) else 1
