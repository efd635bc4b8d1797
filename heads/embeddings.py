"""A trained head in use: features in, one embedding per row out; similarities of embeddings are the mean over seeds.

Scores look at every seed alone, to measure how much seeds differ. In use the seeds are averaged, and the threshold and
the calibration in `head.json` are those of the mean.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from heads.models.base import Head
from heads.similarity import Similarity, euclidean_matrix, euclidean_pairs
from heads.store import TrainedHead


def is_cosine(trained: TrainedHead) -> bool:
    """Whether the inner product of two embeddings is their similarity."""
    return trained.embeds and trained.distance == "cosine"


@torch.no_grad()
def embed(trained: TrainedHead, features: Tensor) -> Tensor:
    """Features (N, D) -> embeddings (N, S * E) float32, the seeds side by side.

    Of a cosine head they have length 1, each seed's part 1 / sqrt(S): their inner product is the mean cosine. Of a
    classifier of pairs they are the inputs of its classifier, which only `similarity_matrix` can compare.

    Raises:
        HeadError: features of another width than those of training.
    """
    return concat_seeds(trained.heads, trained.embeddings(features))


def concat_seeds(heads: list[Head], encoded: Tensor) -> Tensor:
    """Outputs of the heads of S seeds (S, N, E) -> embeddings (N, S * E)."""
    encoded = encoded[: len(distinct_heads(heads))]
    if heads[0].embeds and heads[0].distance == "cosine":
        encoded = normalize(encoded, dim=-1) / len(encoded) ** 0.5
    return encoded.transpose(0, 1).flatten(1)


@torch.no_grad()
def similarity_matrix(trained: TrainedHead, left: Tensor, right: Tensor) -> Tensor:
    """Embeddings (A, S * E) and (B, S * E) -> similarities (A, B) float32.

    Of a classifier of pairs `left` are queries and `right` the gallery.
    """
    if is_cosine(trained):
        return left @ right.T
    left, right = (_by_seed(trained, side) for side in (left, right))
    if trained.embeds:  # a distance and its square rank alike; thresholds are of the distance itself
        return -euclidean_matrix(left, right).mean(0)
    of_seeds = zip(distinct_heads(trained.heads), left, right, strict=True)
    return torch.stack([head.pairwise(a, b) for head, a, b in of_seeds]).mean(0)


@torch.no_grad()
def similarity_pairs(trained: TrainedHead, left: Tensor, right: Tensor) -> Tensor:
    """Embeddings (P, S * E) and (P, S * E) -> similarities (P,) float32, row by row."""
    if is_cosine(trained):
        return (left * right).sum(1)
    left, right = (_by_seed(trained, side) for side in (left, right))
    if trained.embeds:
        return -euclidean_pairs(left, right).mean(0)
    of_seeds = zip(distinct_heads(trained.heads), left, right, strict=True)
    return torch.stack([head.elementwise(a, b) for head, a, b in of_seeds]).mean(0)


def cross_similarity(trained: TrainedHead, queries: Tensor, gallery: Tensor) -> Similarity:
    """Embeddings (Q, S * E) and (G, S * E) -> a similarity whose rows 0..Q-1 are queries, Q..Q+G-1 the gallery."""
    first = len(queries)
    return Similarity(
        block=lambda q, g: similarity_matrix(trained, queries[q], gallery[g - first]),
        pairs=lambda q, g: similarity_pairs(trained, queries[q], gallery[g - first]),
    )


def _by_seed(trained: TrainedHead, embeddings: Tensor) -> Tensor:
    """(N, S * E) -> (S, N, E)"""
    return embeddings.unflatten(1, (len(distinct_heads(trained.heads)), -1)).transpose(0, 1).contiguous()


def distinct_heads(heads: list[Head]) -> list[Head]:
    """The heads that differ: all, or the first where heads have no parameters and all seeds are equal."""
    return heads if any(True for _ in heads[0].parameters()) else heads[:1]
