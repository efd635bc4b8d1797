import numpy as np
import torch

from heads.metrics.baselines import baseline_similarity, majority_accuracy, random_projection_similarity


def test_majority():
    assert majority_accuracy(["a", "b", "b", "c"]) == 0.5


def test_random_projection_keeps_cosines_roughly_and_is_repeatable():
    features = torch.randn(40, 64, generator=torch.Generator().manual_seed(1)).half()
    rows = torch.arange(40)
    wide = random_projection_similarity(features, width=4096).block(rows, rows)
    np.testing.assert_allclose(wide, baseline_similarity(features).block(rows, rows), atol=0.08)
    assert torch.equal(wide, random_projection_similarity(features, width=4096).block(rows, rows))
    assert not torch.equal(wide, random_projection_similarity(features, width=4096, seed=1).block(rows, rows))
