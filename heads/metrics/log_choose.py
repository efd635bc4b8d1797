"""Logarithms of binomial coefficients, from a table: importing scipy.special takes longer than scoring a small test."""

from functools import lru_cache
from math import lgamma

import numpy as np
from numpy.typing import ArrayLike, NDArray


def log_choose(n: ArrayLike, k: ArrayLike) -> NDArray[np.float64]:
    """log of n over k, elementwise for integers k >= 0; minus infinity where k > n."""
    n, k = np.asarray(n, np.int64), np.asarray(k, np.int64)
    rest = n - k
    table = _log_factorials(1 << int(max(n.max(), k.max(), 0)).bit_length())
    return np.where(rest < 0, -np.inf, table[np.maximum(n, 0)] - table[k] - table[np.maximum(rest, 0)])


@lru_cache(maxsize=4)
def _log_factorials(size: int) -> NDArray[np.float64]:
    """(size,) log of 0!, 1!, ..., (size - 1)!"""
    return np.array([lgamma(i + 1.0) for i in range(size)])
