"""Verification against scikit-learn, with ties."""

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, roc_auc_score, roc_curve

from heads.errors import HeadError
from heads.metrics.verification import confusion_at, roc


def drawn(seed, levels):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(size=400) * levels) / levels
    positive = rng.random(400) < 0.3
    return scores[positive] + 0.5, scores[~positive]


@pytest.mark.parametrize("levels", [1, 3, 1e6])
@pytest.mark.parametrize("seed", range(3))
def test_roc_auc_and_eer_equal_sklearn(seed, levels):
    positives, negatives = drawn(seed, levels)
    truth = np.repeat([1, 0], [len(positives), len(negatives)])
    scores = np.concatenate([positives, negatives])
    false_accept, true_accept, thresholds = roc_curve(truth, scores, drop_intermediate=False)

    curve = roc(positives, negatives)

    np.testing.assert_allclose(curve.thresholds, thresholds)
    np.testing.assert_allclose(curve.false_accept, false_accept)
    np.testing.assert_allclose(curve.true_accept, true_accept)
    assert curve.auc == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    line = interp1d(false_accept, true_accept)
    assert curve.eer == pytest.approx(brentq(lambda x: 1 - x - line(x), 0, 1), abs=1e-6)


@pytest.mark.parametrize("levels", [1, 1e6])
def test_decisions_equal_sklearn(levels):
    positives, negatives = drawn(7, levels)
    truth = np.repeat([1, 0], [len(positives), len(negatives)])
    predicted = np.concatenate([positives, negatives]) >= 0.4
    counts = confusion_at(positives, negatives, threshold=0.4)
    ((rejects, alarms), (misses, accepts)) = confusion_matrix(truth, predicted)
    assert (counts.true_rejects, counts.false_accepts, counts.misses, counts.true_accepts) == (
        rejects,
        alarms,
        misses,
        accepts,
    )
    assert counts.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert counts.accuracy == pytest.approx((predicted == truth).mean())
    assert counts.always_negative == pytest.approx((truth == 0).mean())


def test_a_useless_similarity_is_chance():
    same = np.zeros(10)
    assert roc(same, same).auc == 0.5
    assert roc(same, same).eer == 0.5
    assert confusion_at(same, same, threshold=0).balanced_accuracy == 0.5
    assert confusion_at(same, same, threshold=1).balanced_accuracy == 0.5


def test_a_perfect_and_an_inverted_similarity():
    high, low = np.array([0.8, 0.9]), np.array([0.1, 0.2, 0.3])
    assert (roc(high, low).auc, roc(high, low).eer) == (1, 0)
    assert (roc(low, high).auc, roc(low, high).eer) == (0, 1)
    assert confusion_at(high, low, threshold=0.5).balanced_accuracy == 1


@pytest.mark.parametrize(
    ("positives", "negatives", "message"),
    [
        ([], [0.1], "0 and 1"),
        ([0.1], [], "1 and 0"),
        ([np.nan], [0.1], "not finite"),
    ],
)
def test_bad_input(positives, negatives, message):
    for ask in (roc, lambda m, o: confusion_at(m, o, threshold=0)):
        with pytest.raises(HeadError) as error:
            ask(positives, negatives)
        assert message in str(error.value)
