import numpy as np
import pytest
import torch

from heads.errors import HeadError
from heads.metrics.baselines import chance, majority, plain, random_projection


def test_chance_and_majority():
    assert chance(k=2, candidates=20) == 0.1
    assert majority(["a", "b", "b", "c"]) == 0.5
    with pytest.raises(HeadError):
        chance(k=3, candidates=2)


def test_random_projection_keeps_cosines_roughly_and_is_repeatable():
    features = torch.randn(40, 64, generator=torch.Generator().manual_seed(1)).half()
    rows = torch.arange(40)
    wide = random_projection(features, width=4096).block(rows, rows)
    np.testing.assert_allclose(wide, plain(features).block(rows, rows), atol=0.08)
    assert torch.equal(wide, random_projection(features, width=4096).block(rows, rows))
    assert not torch.equal(wide, random_projection(features, width=4096, seed=1).block(rows, rows))
