"""Two runs on the same queries: which were gained, which were lost, and is that more than luck?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr


@dataclass(frozen=True)
class Exchange:
    """Queries that only one of two runs hits."""

    gained: np.ndarray  # positions hit by the second run alone, largest change first
    lost: np.ndarray  # positions hit by the first run alone, largest change first

    @property
    def p_value(self) -> float:
        """Exact two-sided McNemar test: gains and losses are a fair coin when the runs are equally good."""
        gained, lost = len(self.gained), len(self.lost)
        return float(min(1.0, 2 * bdtr(min(gained, lost), gained + lost, 0.5))) if gained + lost else 1.0


def exchange(first: ArrayLike, second: ArrayLike) -> Exchange:
    """Compare two (Q,) chances of a hit; a query counts as hit when its chance is above a half."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    change = second - first
    order = np.argsort(-np.abs(change), kind="stable")
    return Exchange(
        gained=order[(first[order] <= 0.5) & (second[order] > 0.5)],
        lost=order[(first[order] > 0.5) & (second[order] <= 0.5)],
    )
