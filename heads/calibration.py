"""From a trained head's similarity to a decision and to the probability that a pair is positive."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.threshold import calibrate_threshold

STEPS, TOLERANCE = 100, 1e-9
RIDGE = 1e-12  # constant scores would leave the slope undetermined


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
    threshold = calibrate_threshold(scores, positive)
    count = int(positive.sum())
    target = np.where(positive, (count + 1) / (count + 2), 1 / (len(positive) - count + 2))
    x = scores.astype(np.float64)
    mean, deviation = x.mean(), x.std() or 1.0  # standardised, so that the tolerance holds for any scale
    z = (x - mean) / deviation

    slope, intercept = _fit_sigmoid(z, target)
    if slope < 0:  # the loss is convex: the best slope that is not negative lies at 0
        slope, intercept = 0.0, float(np.log(target.mean() / (1 - target.mean())))
    return Calibration(threshold, slope / deviation, intercept - slope / deviation * mean)


def _fit_sigmoid(z: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[float, float]:
    """(slope, intercept) of least cross-entropy, by Newton's method; a step that does not lower the loss is halved.

    Not scipy.optimize, whose import takes as long as training a small head.
    """
    features = np.stack([z, np.ones_like(z)], 1)  # (P, 2)
    weights = np.array([1.0, 0.0])

    def loss(weights: NDArray[np.floating]) -> float:
        logit = features @ weights
        return float((np.logaddexp(0, logit) - target * logit).mean())

    for _ in range(STEPS):
        probability = _sigmoid(features @ weights)
        gradient = features.T @ (probability - target) / len(z)
        curvature = (features.T * (probability * (1 - probability))) @ features / len(z)
        step = np.linalg.solve(curvature + RIDGE * np.eye(2), gradient)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > TOLERANCE:
            step /= 2
        weights = weights - step
        if np.abs(step).max() <= TOLERANCE:
            break
    return float(weights[0]), float(weights[1])


def _sigmoid(x: NDArray[np.floating]) -> NDArray[np.float64]:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # 1 / (1 + exp(-x)) without its overflow
