"""Alike or not, pair by pair: ROC, AUC, equal error rate, and decisions at a threshold that was chosen elsewhere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from heads.errors import HeadError
from heads.metrics.ranking import NOT_FINITE


@dataclass(frozen=True)
class Roc:
    """Every way to decide "alike when the similarity is at least t", from the strictest to the most lenient.

    The first entry accepts nothing (t = infinity), the last everything.
    """

    thresholds: np.ndarray  # (T,) descending
    true_accept: np.ndarray  # (T,) share of matches accepted
    false_accept: np.ndarray  # (T,) share of non-matches accepted

    @property
    def auc(self) -> float:
        """Chance that a match scores above a non-match, a tie counting half."""
        return float(np.trapezoid(self.true_accept, self.false_accept))

    @property
    def eer(self) -> float:
        """Equal error rate: where misses and false alarms cross, on the line between two points of the curve."""
        gap = (1 - self.true_accept) - self.false_accept  # from 1 down to -1
        after = int(np.argmax(gap <= 0))
        before = after - 1
        along = gap[before] / (gap[before] - gap[after])
        return float(self.false_accept[before] + along * (self.false_accept[after] - self.false_accept[before]))


@dataclass(frozen=True)
class Confusion:
    """Shares or counts of pairs at one threshold."""

    true_accepts: int
    misses: int
    false_accepts: int
    true_rejects: int

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the shares of matches and of non-matches decided rightly; 0.5 for any constant answer."""
        matches, others = self.true_accepts + self.misses, self.false_accepts + self.true_rejects
        return (self.true_accepts / matches + self.true_rejects / others) / 2

    @property
    def accuracy(self) -> float:
        return (self.true_accepts + self.true_rejects) / self.pairs

    @property
    def always_different(self) -> float:
        """Accuracy of the trivial answer: the share of non-matches."""
        return (self.false_accepts + self.true_rejects) / self.pairs

    @property
    def pairs(self) -> int:
        return self.true_accepts + self.misses + self.false_accepts + self.true_rejects


def roc(matches: ArrayLike, others: ArrayLike) -> Roc:
    """The curve from similarities of matches (M,) and of non-matches (F,).

    Raises:
        HeadError: there are no matches or no non-matches, or a similarity is not finite.
    """
    matches, others = _checked(matches, others)
    scores = np.concatenate([matches, others])
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # the last of each run of equals
    accepted = np.cumsum(order < len(matches))[last]
    return Roc(
        thresholds=np.append(np.inf, scores[order][last]),
        true_accept=np.append(0.0, accepted / len(matches)),
        false_accept=np.append(0.0, (last + 1 - accepted) / len(others)),
    )


def decide(matches: ArrayLike, others: ArrayLike, *, threshold: float) -> Confusion:
    """Count right and wrong answers when pairs of at least `threshold` are called alike."""
    matches, others = _checked(matches, others)
    accepted, alarms = int((matches >= threshold).sum()), int((others >= threshold).sum())
    return Confusion(accepted, len(matches) - accepted, alarms, len(others) - alarms)


def _checked(matches: ArrayLike, others: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    matches, others = np.asarray(matches, dtype=np.float64), np.asarray(others, dtype=np.float64)
    if not len(matches) or not len(others):
        raise HeadError(f"verification needs matches and non-matches, there are {len(matches)} and {len(others)}")
    if not (np.isfinite(matches).all() and np.isfinite(others).all()):
        raise HeadError(NOT_FINITE)
    return matches, others
