"""Verification of pairs: ROC, AUC, equal error rate, and decisions at a threshold that was chosen elsewhere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from heads.errors import HeadError
from heads.metrics.ranking import NOT_FINITE


@dataclass(frozen=True)
class Roc:
    """Every decision rule "positive where the similarity is at least t", from the strictest to the most lenient.

    The first entry accepts nothing (t = infinity), the last everything.
    """

    thresholds: np.ndarray  # (T,) descending
    true_accept: np.ndarray  # (T,) share of positives accepted
    false_accept: np.ndarray  # (T,) share of negatives accepted

    @property
    def auc(self) -> float:
        """Probability that a positive scores above a negative, a tie counting 1/2."""
        return float(np.trapezoid(self.true_accept, self.false_accept))

    @property
    def eer(self) -> float:
        """Equal error rate: where misses and false accepts cross, interpolated between two points of the curve."""
        gap = (1 - self.true_accept) - self.false_accept  # from 1 down to -1
        after = int(np.argmax(gap <= 0))
        before = after - 1
        along = gap[before] / (gap[before] - gap[after])
        return float(self.false_accept[before] + along * (self.false_accept[after] - self.false_accept[before]))


@dataclass(frozen=True)
class Confusion:
    """Counts of pairs at one threshold."""

    true_accepts: int
    misses: int
    false_accepts: int
    true_rejects: int

    @property
    def positives(self) -> int:
        return self.true_accepts + self.misses

    @property
    def negatives(self) -> int:
        return self.false_accepts + self.true_rejects

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the accuracies on positives and on negatives; 0.5 for any constant answer."""
        return (self.true_accepts / self.positives + self.true_rejects / self.negatives) / 2

    @property
    def accuracy(self) -> float:
        return (self.true_accepts + self.true_rejects) / (self.positives + self.negatives)

    @property
    def always_negative(self) -> float:
        """Accuracy of the trivial answer "negative": the share of negatives."""
        return self.negatives / (self.positives + self.negatives)


def roc(positives: ArrayLike, negatives: ArrayLike) -> Roc:
    """The curve from similarities of positives (P,) and of negatives (F,).

    Raises:
        HeadError: there are no positives or no negatives, or a similarity is not finite.
    """
    positives, negatives = _checked(positives, negatives)
    scores = np.concatenate([positives, negatives])
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # the last of each run of equals
    accepted = np.cumsum(order < len(positives))[last]
    return Roc(
        thresholds=np.append(np.inf, scores[order][last]),
        true_accept=np.append(0.0, accepted / len(positives)),
        false_accept=np.append(0.0, (last + 1 - accepted) / len(negatives)),
    )


def confusion_at(positives: ArrayLike, negatives: ArrayLike, *, threshold: float) -> Confusion:
    """Counts when pairs of at least `threshold` are predicted positive; shapes and errors as `roc`."""
    positives, negatives = _checked(positives, negatives)
    true_accepts, false_accepts = int((positives >= threshold).sum()), int((negatives >= threshold).sum())
    return Confusion(true_accepts, len(positives) - true_accepts, false_accepts, len(negatives) - false_accepts)


def _checked(positives: ArrayLike, negatives: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    positives, negatives = np.asarray(positives, dtype=np.float64), np.asarray(negatives, dtype=np.float64)
    if not len(positives) or not len(negatives):
        raise HeadError(
            f"verification needs positive and negative pairs, there are {len(positives)} and {len(negatives)}"
        )
    if not (np.isfinite(positives).all() and np.isfinite(negatives).all()):
        raise HeadError(NOT_FINITE)
    return positives, negatives
