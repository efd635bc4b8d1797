"""Two runs on the same queries: gained and lost queries, and the exact McNemar test of the difference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Flips:
    """Queries that only one of two runs hits."""

    gained: np.ndarray  # positions that only the second run hits, largest change first
    lost: np.ndarray  # positions that only the first run hits, largest change first

    @property
    def p_value(self) -> float:
        """Exact two-sided test (McNemar, 1947): under the null, a flip is gained or lost with probability 1/2."""
        from scipy.special import bdtr

        gained, lost = len(self.gained), len(self.lost)
        return float(min(1.0, 2 * bdtr(min(gained, lost), gained + lost, 0.5))) if gained + lost else 1.0


def mcnemar(first: ArrayLike, second: ArrayLike) -> Flips:
    """Compare two (Q,) probabilities of a hit; a query counts as a hit where its probability is above 1/2."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    change = second - first
    order = np.argsort(-np.abs(change), kind="stable")
    return Flips(
        gained=order[(first[order] <= 0.5) & (second[order] > 0.5)],
        lost=order[(first[order] > 0.5) & (second[order] <= 0.5)],
    )
