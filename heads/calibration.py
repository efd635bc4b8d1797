"""From a trained head's similarity to a decision and to the probability that a pair is positive."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.threshold import calibrate_threshold


@dataclass(frozen=True)
class Calibration:
    """Fitted on pairs of which half are positive: `probability` is that of a pair with even prior odds.

    Where positives are rarer (one in a gallery of thousands), the probability of such a pair is lower.
    """

    threshold: float  # positive from this similarity on
    slope: float  # at least 0: a more similar pair is never less probable
    intercept: float

    def probability(self, similarity: NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Similarities of any shape -> probabilities that the pair is positive, in 0..1."""
        return _sigmoid(self.slope * np.asarray(similarity, np.float64) + self.intercept)


def calibrate(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> Calibration:
    """Threshold and sigmoid of the similarities `scores` (P,) of pairs, `positive` (P,) or not.

    The sigmoid is Platt's (1999): logistic regression on the score, with targets (N+ + 1) / (N+ + 2) and
    1 / (N- + 2) in place of 1 and 0, so that the slope is finite where a threshold separates the pairs.

    Raises:
        HeadError: the pairs are all positive or all negative.
    """
    from scipy.optimize import minimize  # half a second of import that using a head does not need

    threshold = calibrate_threshold(scores, positive)
    count = int(positive.sum())
    target = np.where(positive, (count + 1) / (count + 2), 1 / (len(positive) - count + 2))
    x = scores.astype(np.float64)
    mean, deviation = x.mean(), x.std() or 1.0  # standardised: the tolerance is then that of any scale
    z = (x - mean) / deviation

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit = weights[0] * z + weights[1]
        error = _sigmoid(logit) - target
        return float((np.logaddexp(0, logit) - target * logit).mean()), np.array([(error * z).mean(), error.mean()])

    fitted = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=[(0, None), (None, None)], tol=1e-12).x
    slope = float(fitted[0] / deviation)
    return Calibration(threshold, slope, float(fitted[1] - slope * mean))


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # 1 / (1 + exp(-x)) without its overflow
