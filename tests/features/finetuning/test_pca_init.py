"""The linear layer on top of a network starts on the main directions of what the network gives."""

import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from features.finetuning.pca_init import init_with_pca


def outputs() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(40, 6) * torch.tensor([5.0, 1.0, 3.0, 0.1, 2.0, 0.5]) + 7


def test_the_layer_starts_on_the_main_directions_less_the_mean():
    x = outputs()
    network = nn.Linear(6, 3)
    init_with_pca(network, x)
    pca = PCA(n_components=3, svd_solver="full").fit(x.numpy())
    wanted = torch.from_numpy(pca.transform(x.numpy()))
    got = network(x)
    torch.testing.assert_close(got @ got.T, wanted @ wanted.T, rtol=1e-4, atol=1e-3)  # signs of axes are free


def test_as_wide_as_the_network_it_starts_at_the_cosines_of_the_centred_outputs():
    x = outputs()
    network = nn.Linear(6, 6)
    init_with_pca(network, x)
    centred = x - x.mean(0)
    torch.testing.assert_close(network(x) @ network(x).T, centred @ centred.T, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("rows", "dim"), [(40, 9), (4, 9)])
def test_numbers_past_the_directions_start_at_nothing(rows, dim):
    layer = nn.Linear(6, dim)
    init_with_pca(layer, outputs()[:rows])
    assert torch.allclose(layer.weight[:6].norm(dim=1), torch.ones(6), atol=1e-5)
    assert not layer.weight[6:].any() and torch.isfinite(layer.bias).all()
