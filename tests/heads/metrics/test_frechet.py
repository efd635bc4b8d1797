import numpy as np
import pytest
from scipy.linalg import sqrtm

from heads.errors import HeadError
from heads.metrics.frechet import frechet_distance, frechet_floor


@pytest.mark.parametrize("sizes", [(60, 50), (60, 8), (8, 60), (9, 7)], ids=str)
def test_equals_the_formula_with_a_matrix_root(sizes):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(sizes[0], 12)), 2 + rng.normal(size=(sizes[1], 12)) @ rng.normal(size=(12, 12))
    one, two = np.cov(first.T), np.cov(second.T)
    gap = first.mean(0) - second.mean(0)
    # the root of the symmetric form, which exists also when fewer rows than columns make the product singular
    root = sqrtm(one + 1e-14 * np.eye(12)).real
    expected = gap @ gap + np.trace(one) + np.trace(two) - 2 * np.trace(sqrtm(root @ two @ root).real)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-5)


def test_the_same_set_is_at_zero_and_a_shift_is_its_square():
    features = np.random.default_rng(0).normal(size=(50, 4))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    shifted = features + np.array([3, 0, 0, 4])
    assert frechet_distance(features, shifted) == pytest.approx(25)
    assert frechet_distance(features, shifted) == pytest.approx(frechet_distance(shifted, features))


def test_small_samples_are_biased_upwards_and_the_floor_shows_it():
    rng = np.random.default_rng(0)
    floors = [frechet_floor(rng.normal(size=(size, 10))) for size in (100, 1000, 10_000)]
    assert floors[0] > 3 * floors[1] > 9 * floors[2] > 0


def test_bad_input():
    with pytest.raises(HeadError) as error:
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    assert "two rows" in str(error.value)
    with pytest.raises(HeadError) as error:
        frechet_distance(np.zeros((5, 3)), np.zeros((5, 4)))
    assert "3 and 4" in str(error.value)
