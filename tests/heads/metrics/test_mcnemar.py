import numpy as np
import pytest
from scipy.stats import binomtest

from heads.metrics.mcnemar import mcnemar


def test_gains_and_losses_largest_change_first():
    got = mcnemar([0.2, 0.9, 0.4, 1.0, 0.6], [0.9, 0.1, 0.6, 1.0, 0.5])
    assert got.gained.tolist() == [0, 2]
    assert got.lost.tolist() == [1, 4]


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (3, 3), (9, 2), (1, 30), (120, 90)])
def test_p_value_is_the_exact_mcnemar_test(gained, lost):
    first = np.repeat([0.0, 1.0, 1.0], [gained, lost, 10])
    second = np.repeat([1.0, 0.0, 1.0], [gained, lost, 10])
    expected = binomtest(min(gained, lost), gained + lost).pvalue if gained + lost else 1
    assert mcnemar(first, second).p_value == pytest.approx(expected)
