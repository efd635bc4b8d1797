"""What needs no head: chance, the majority class, and plain or randomly projected features."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from heads.metrics.candidate_lists import check_k
from heads.similarity import Similarity, embedding_similarity


def chance(*, k: int, candidates: int) -> float:
    """Hit rate at k of any similarity that does not look."""
    check_k(k, candidates=candidates)
    return k / candidates


def majority(codes: ArrayLike) -> float:
    """Accuracy of always naming the largest group."""
    counts = np.unique(np.asarray(codes), return_counts=True)[1]
    return float(counts.max() / counts.sum())


def plain(features: Tensor) -> Similarity:
    """No head: the cosine of the features (N, D)."""
    return embedding_similarity(features)


def random_projection(features: Tensor, *, width: int, seed: int = 0) -> Similarity:
    """A head that learnt nothing: the cosine of `width` random directions of the features (N, D)."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(features.shape[1], width, generator=generator) / width**0.5
    return embedding_similarity(features.float() @ directions.to(features.device))


def blind() -> Similarity:
    """A similarity that does not look: its scores are chance, since ties count by expectation."""
    return Similarity(block=lambda q, g: torch.zeros(len(q), len(g)), pairs=lambda a, b: torch.zeros(len(a)))
