"""Fréchet distance between two sets of features: the FID of Heusel et al. (2017, eq. 6) on any backbone."""

import numpy as np
from numpy.typing import ArrayLike

from heads.errors import HeadError


def frechet_distance(first: ArrayLike, second: ArrayLike) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets of features, (N1, D) and (N2, D).

    It is biased upwards in small samples, by about tr(C) / N and more when N < D (Chong and Forsyth, 2020): compare
    only sets of equal sizes, and beside `frechet_floor`.

    Raises:
        HeadError: a set has fewer than two rows, or the widths differ.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if min(len(first), len(second)) < 2:
        raise HeadError(f"a Fréchet distance needs two rows in each set, there are {len(first)} and {len(second)}")
    if first.shape[1] != second.shape[1]:
        raise HeadError(f"a Fréchet distance needs equal widths, there are {first.shape[1]} and {second.shape[1]}")
    a, b = _root(first), _root(second)
    gap = first.mean(0) - second.mean(0)
    # With C1 = A'A and C2 = B'B, the trace of (C1 C2)^(1/2) is the sum of the singular values of A B'.
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(max(0.0, gap @ gap + (a * a).sum() + (b * b).sum() - 2 * shared))


def frechet_floor(features: ArrayLike, *, seed: int = 0) -> float:
    """The distance between two random halves of one set (N, D): its value for equal distributions, at N / 2 rows."""
    features = np.asarray(features)
    order = np.random.default_rng(seed).permutation(len(features))
    half = len(features) // 2
    return frechet_distance(features[order[:half]], features[order[half : 2 * half]])


def _root(features: np.ndarray) -> np.ndarray:
    """A (min(N, D), D) with A'A the covariance of `features` (N, D)."""
    centred = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(centred) > centred.shape[1] else centred
