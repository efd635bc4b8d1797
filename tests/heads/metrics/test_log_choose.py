"""Logarithms of binomial coefficients against Python's integers."""

from math import comb, log

import numpy as np

from heads.metrics.log_choose import log_choose


def test_equals_the_integers():
    n, k = np.arange(60)[:, None], np.arange(70)[None]
    expected = [[log(comb(int(a), int(b))) if b <= a else -np.inf for b in k[0]] for a in n[:, 0]]
    np.testing.assert_allclose(log_choose(n, k), expected, rtol=1e-12, atol=1e-12)


def test_large():
    expected = [log(comb(1_000_000, k)) for k in (0, 1, 19)]
    np.testing.assert_allclose(log_choose(1_000_000, [0, 1, 19]), expected, rtol=1e-9)
