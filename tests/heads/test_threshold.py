import numpy as np
import pytest

from heads.errors import HeadError
from heads.threshold import calibrate_threshold


def balanced_accuracy(scores, positive, threshold):
    predicted = scores >= threshold
    return (predicted[positive].mean() + (~predicted[~positive]).mean()) / 2


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_is_better(seed):
    draw = np.random.default_rng(seed)
    positive = draw.random(60) < 0.4
    scores = np.round(draw.normal(size=60) + positive, 1)  # rounding makes ties
    ours = balanced_accuracy(scores, positive, calibrate_threshold(scores, positive))
    everywhere = [balanced_accuracy(scores, positive, t) for t in np.r_[scores, scores + 0.05, scores - 0.05]]
    assert ours == pytest.approx(max(everywhere))


def test_lies_between_the_classes():
    assert calibrate_threshold(np.array([0.1, 0.9, 0.3, 0.7]), np.array([False, True, False, True])) == pytest.approx(
        0.5
    )


def test_one_kind_of_pair_fails():
    with pytest.raises(HeadError, match=r"all positive or all negative.*enlarge data\.splits\.val"):
        calibrate_threshold(np.arange(3.0), np.ones(3, dtype=bool))
