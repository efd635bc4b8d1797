"""The similarity from which a pair is predicted positive. Chosen on val, never on the pairs that are reported."""

import numpy as np
from numpy.typing import NDArray

from heads.errors import HeadError


def calibrate_threshold(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """The threshold t for which "positive where score >= t" has the best balanced accuracy.

    It lies midway between two neighbouring scores. Of several equally good gaps the middle one is chosen, because the
    outer ones depend most on single pairs.

    Args:
        scores: (P,) similarities. positive: (P,) whether each pair is positive.

    Raises:
        HeadError: the pairs are all positive or all negative.
    """
    if positive.all() or not positive.any():
        raise HeadError(
            "val pairs are all positive or all negative, so no threshold separates them: enlarge data.splits.val"
        )
    order = np.argsort(-scores, kind="stable")
    ordered, labels = scores[order].astype(np.float64), positive[order]
    true_positive_rate = np.r_[0, np.cumsum(labels)] / labels.sum()
    false_positive_rate = np.r_[0, np.cumsum(~labels)] / (~labels).sum()
    # Accepting the first i pairs is possible only where the next score is lower: ties are accepted together.
    gap = np.r_[True, ordered[1:] < ordered[:-1], True]
    gain = np.where(gap, true_positive_rate - false_positive_rate, -np.inf)
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    cut = int(best[len(best) // 2])
    above = ordered[cut - 1] if cut > 0 else ordered[0] + 1
    below = ordered[cut] if cut < len(ordered) else ordered[-1] - 1
    return float((above + below) / 2)
