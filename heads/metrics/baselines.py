"""Baselines of every score: the majority class, and similarities without a trained head."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from heads.similarity import Similarity, embedding_similarity

WIDTH = 64  # directions of a random projection


def majority_accuracy(labels: ArrayLike) -> float:
    """Accuracy of always predicting the largest group of `labels` (N,)."""
    counts = np.unique(np.asarray(labels), return_counts=True)[1]
    return float(counts.max() / counts.sum())


def baseline_similarity(features: Tensor) -> Similarity:
    """The cosine of the features (N, D), without a head."""
    return embedding_similarity(features)


def random_projection_similarity(features: Tensor, *, width: int | None = None, seed: int = 0) -> Similarity:
    """An untrained head: the cosine of features (N, D) on `width` random directions; by default on the lesser of D
    and `WIDTH`.
    """
    width = width or min(features.shape[1], WIDTH)
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(features.shape[1], width, generator=generator) / width**0.5
    return embedding_similarity(features.float() @ directions.to(features.device))


def constant_similarity() -> Similarity:
    """0 for every pair. Its scores are chance, because ties count by expectation."""
    return Similarity(block=lambda q, g: torch.zeros(len(q), len(g)), pairs=lambda a, b: torch.zeros(len(a)))
