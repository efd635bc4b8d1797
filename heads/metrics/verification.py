"""Verification of pairs: ROC, AUC, equal error rate, and decisions at a threshold that was chosen elsewhere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from heads.errors import HeadError
from heads.metrics.ranking import NOT_FINITE
from heads.metrics.score_counts import ScoreCounts


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
        """Rate at which false rejects and false accepts are equally frequent, between two points of the curve."""
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
        """Mean of the accuracies on positives and on negatives; 0.5 for any constant prediction."""
        return (self.true_accepts / self.positives + self.true_rejects / self.negatives) / 2

    @property
    def accuracy(self) -> float:
        return (self.true_accepts + self.true_rejects) / (self.positives + self.negatives)

    @property
    def always_negative(self) -> float:
        """Accuracy of always predicting "negative": the share of negatives."""
        return self.negatives / (self.positives + self.negatives)


def roc(positives: ArrayLike | ScoreCounts, negatives: ArrayLike | ScoreCounts) -> Roc:
    """The curve from similarities of positives (P,) and of negatives (F,), or from their counts.

    Raises:
        HeadError: there are no positives or no negatives, or a similarity is not finite.
    """
    positives, negatives = _checked(positives, negatives)
    thresholds = np.unique(np.concatenate([positives.values, negatives.values]))[::-1]
    return Roc(
        thresholds=np.append(np.inf, thresholds),
        true_accept=np.append(0.0, positives.at_least(thresholds) / positives.total),
        false_accept=np.append(0.0, negatives.at_least(thresholds) / negatives.total),
    )


def confusion_at(
    positives: ArrayLike | ScoreCounts, negatives: ArrayLike | ScoreCounts, *, threshold: float
) -> Confusion:
    """Counts when pairs of at least `threshold` are predicted positive; shapes and errors as `roc`."""
    positives, negatives = _checked(positives, negatives)
    true_accepts, false_accepts = (int(part.at_least(threshold)) for part in (positives, negatives))
    return Confusion(true_accepts, positives.total - true_accepts, false_accepts, negatives.total - false_accepts)


def _checked(positives: ArrayLike | ScoreCounts, negatives: ArrayLike | ScoreCounts) -> tuple[ScoreCounts, ScoreCounts]:
    positives, negatives = ScoreCounts.of(positives), ScoreCounts.of(negatives)
    if not positives.total or not negatives.total:
        raise HeadError(
            f"verification needs positive and negative pairs, there are {positives.total} and {negatives.total}"
        )
    if not (np.isfinite(positives.values).all() and np.isfinite(negatives.values).all()):
        raise HeadError(NOT_FINITE)
    return positives, negatives
