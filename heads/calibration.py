"""What a similarity of a trained head means: the probability that a pair is alike, and the threshold of saying so."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.threshold import calibrate_threshold


@dataclass(frozen=True)
class Calibration:
    """Fitted on pairs of which half are alike: `probability` is that of a pair met with even odds.

    Where alike pairs are rarer (one in a gallery of thousands), so is a pair of this probability.
    """

    threshold: float  # alike from this similarity on
    slope: float  # at least 0: a more alike pair is never less probable
    intercept: float

    def probability(self, similarity: NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Similarities of any shape -> probabilities of "same", in 0..1."""
        return _sigmoid(self.slope * np.asarray(similarity, np.float64) + self.intercept)


def calibrate(scores: NDArray[np.floating], same: NDArray[np.bool_]) -> Calibration:
    """Threshold and sigmoid of similarities `scores` (P,) of pairs that are alike or not, `same` (P,).

    The sigmoid is Platt's (1999): logistic regression on the score, its targets drawn in from 1 and 0 to
    (N+ + 1) / (N+ + 2) and 1 / (N- + 2), so that pairs which a threshold tells apart give a finite slope.

    Raises:
        HeadError: only one kind of pair.
    """
    from scipy.optimize import minimize  # half a second that whoever only uses a head need not wait

    threshold = calibrate_threshold(scores, same)
    alike = int(same.sum())
    target = np.where(same, (alike + 1) / (alike + 2), 1 / (len(same) - alike + 2))
    x = scores.astype(np.float64)
    centre, spread = x.mean(), x.std() or 1.0  # standardised, the problem has one scale whatever the head's is
    z = (x - centre) / spread

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit = weights[0] * z + weights[1]
        wrong = _sigmoid(logit) - target
        return float((np.logaddexp(0, logit) - target * logit).mean()), np.array([(wrong * z).mean(), wrong.mean()])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=[(0, None), (None, None)], tol=1e-12).x
    slope = float(found[0] / spread)
    return Calibration(threshold, slope, float(found[1] - slope * centre))


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # 1 / (1 + exp(-x)) without its overflow
