"""The similarity from which a pair counts as alike. Chosen on val, never on the pairs that are reported."""

import numpy as np
from numpy.typing import NDArray

from heads.errors import HeadError


def calibrate_threshold(scores: NDArray[np.floating], same: NDArray[np.bool_]) -> float:
    """The threshold t for which "alike where score >= t" has the best balanced accuracy; scores and same are (P,).

    It lies midway between two neighbouring scores; of several equally good gaps the middle one is taken, so that a
    lucky edge is not.

    Raises:
        HeadError: only one kind of pair, so nothing to tell apart.
    """
    if same.all() or not same.any():
        raise HeadError(
            "val pairs are all alike or all different, so no threshold tells them apart: enlarge data.splits.val"
        )
    order = np.argsort(-scores, kind="stable")
    ordered, alike = scores[order].astype(np.float64), same[order]
    true_positive_rate = np.r_[0, np.cumsum(alike)] / alike.sum()
    false_positive_rate = np.r_[0, np.cumsum(~alike)] / (~alike).sum()
    # Accepting the first i pairs is possible only where the next score is lower: ties are accepted together.
    gap = np.r_[True, ordered[1:] < ordered[:-1], True]
    gain = np.where(gap, true_positive_rate - false_positive_rate, -np.inf)
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    cut = int(best[len(best) // 2])
    above = ordered[cut - 1] if cut > 0 else ordered[0] + 1
    below = ordered[cut] if cut < len(ordered) else ordered[-1] - 1
    return float((above + below) / 2)
