import numpy as np
import pytest

from features.errors import FeatureError
from features.storage.concat import BLOCK, concatenate


def test_cosine_of_the_result_is_the_weighted_mean_of_both():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(6, 5)).astype(np.float16), rng.normal(size=(6, 9)).astype(np.float16)
    joined = concatenate(first, second, weights=(2.0, 1.0)).astype(np.float64)
    assert joined.shape == (6, 14)

    def cosine(rows):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit @ unit.T

    wanted = (4 * cosine(first.astype(np.float64)) + cosine(second.astype(np.float64))) / 5
    assert np.abs(cosine(joined) - wanted).max() < 2e-3


def test_blocks_do_not_show():
    rng = np.random.default_rng(0)
    first, second = (rng.normal(size=(BLOCK + 3, 2)).astype(np.float16) for _ in range(2))
    whole = concatenate(first, second, weights=(1, 1))
    assert (whole[-3:] == concatenate(first[-3:], second[-3:], weights=(1, 1))).all()


def test_rows_that_do_not_belong_together_and_rows_without_direction():
    with pytest.raises(FeatureError, match="feature sets of 3 and 4 rows do not belong together; run dvc repro"):
        concatenate(np.ones((3, 2), np.float16), np.ones((4, 2), np.float16), weights=(1, 1))
    zero = np.ones((3, 2), np.float16)
    zero[1] = 0
    with pytest.raises(FeatureError, match="row 1 is all zeros in one of the two sets"):
        concatenate(np.ones((3, 2), np.float16), zero, weights=(1, 1))
