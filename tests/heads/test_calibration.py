import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from heads.calibration import Calibration, calibrate
from heads.errors import HeadError
from heads.models.base import Head
from heads.settings import HeadSettings
from heads.training.selection import calibrate_on_val


def pairs(seed: int, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    same = draw.random(count) < 0.5
    return (0.2 * draw.normal(size=count) + 0.3 * same + 0.1).astype(np.float32), same


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (1e-3, 0), (200, -1000)])
def test_is_logistic_regression_on_platts_targets(seed, scale, shift):
    scores, same = pairs(seed)
    scores = scale * scores.astype(np.float64) + shift
    positive = same.sum()
    target = np.where(same, (positive + 1) / (positive + 2), 1 / (len(same) - positive + 2))
    unit = (scores - scores.mean()) / scores.std()
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        np.r_[unit, unit][:, None], np.repeat([1, 0], len(same)), sample_weight=np.r_[target, 1 - target]
    )
    expected = oracle.predict_proba(unit[:, None])[:, 1]
    np.testing.assert_allclose(calibrate(scores, same).probability(scores), expected, atol=1e-4)


def test_says_how_often_it_is_right():
    scores, same = pairs(0, count=40_000)
    probability = calibrate(scores, same).probability(scores)
    bins = np.digitize(probability, np.linspace(0, 1, 11)[1:-1])
    for place in range(10):
        inside = bins == place
        assert same[inside].mean() == pytest.approx(probability[inside].mean(), abs=0.03)


def test_pairs_that_a_threshold_tells_apart_stay_finite():
    found = calibrate(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))
    assert found.threshold == pytest.approx(0.5) and np.isfinite(found.slope)
    low, high = found.probability([0.1, 0.9])
    assert 0.1 < low < 0.4 and 0.6 < high < 0.9  # four pairs are no reason to be sure


def test_a_head_that_is_wrong_says_nothing_rather_than_the_reverse():
    scores, same = pairs(1)
    found = calibrate(-scores, same)
    assert found.slope == 0
    assert found.probability(-scores) == pytest.approx(same.mean(), abs=0.01)


def test_keeps_shapes_and_does_not_overflow():
    unit = Calibration(threshold=0.0, slope=1e4, intercept=0.0)
    assert unit.probability(np.array([[-1e6, 0.0], [1e6, 0.0]])).tolist() == [[0, 0.5], [1, 0.5]]
    assert unit.probability(0.0).shape == ()


def test_one_kind_of_pair_fails():
    with pytest.raises(HeadError, match="all positive or all negative"):
        calibrate(np.arange(4.0), np.zeros(4, bool))


@pytest.mark.parametrize("ensemble", [False, True])
def test_seeds_have_thresholds_of_their_own_and_the_mean_a_calibration(ensemble):
    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(20, 8, generator=draw)
    inputs = centres.repeat_interleave(2, 0) + torch.randn(40, 8, generator=draw)
    a, b = (part.ravel() for part in np.triu_indices(40, 1))
    same = a // 2 == b // 2
    settings = HeadSettings(features="x", model="linear", seeds=3, ensemble=ensemble)

    class Noisy(Head):
        def __init__(self, seed: int) -> None:
            super().__init__("cosine")
            self.seed = seed

        def forward(self, x):
            return x + torch.randn(x.shape, generator=torch.Generator().manual_seed(self.seed))

    heads = [Noisy(seed) for seed in range(3)]
    thresholds, found = calibrate_on_val(heads, inputs, settings, a=a, b=b, same=same)
    encoded = torch.nn.functional.normalize(torch.stack([head(inputs) for head in heads]), dim=-1)
    mean = (encoded[:, a] * encoded[:, b]).sum(-1).mean(0).numpy()
    oracle = calibrate(mean, same)
    assert found.slope == pytest.approx(oracle.slope, rel=1e-3)
    assert found.threshold == pytest.approx(oracle.threshold, abs=1e-5)
    assert len(thresholds) == (1 if ensemble else 3)
    assert (thresholds[0] == found.threshold) is ensemble


def test_the_sigmoid_is_the_minimum_that_scipy_finds():
    from scipy.optimize import minimize

    rng = np.random.default_rng(5)
    for gap in (-1.0, 0.1, 2.0, 9.0):
        positive = rng.random(400) < 0.3
        z = rng.normal(size=400) + gap * positive
        z = (z - z.mean()) / z.std()
        count = positive.sum()
        target = np.where(positive, (count + 1) / (count + 2), 1 / (len(z) - count + 2))

        def loss(weights, z=z, target=target):
            logit = weights[0] * z + weights[1]
            return (np.logaddexp(0, logit) - target * logit).mean()

        wanted = minimize(loss, [1.0, 0.0], bounds=[(0, None), (None, None)]).x
        found = calibrate(z, positive)
        assert loss([found.slope, found.intercept]) <= loss(wanted) + 1e-9
