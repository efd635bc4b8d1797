import pytest
import torch
from sklearn.decomposition import PCA
from torch.nn.functional import normalize

from heads.errors import HeadError
from heads.models.transforms import fit_transform, principal_axes


def rows(seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(200, 6, generator=draw) * torch.tensor([5.0, 3, 2, 1, 0.5, 0.1]) + 1


def test_whiten_equals_scikit_learn_up_to_rotation():
    unit = normalize(rows(), dim=1)
    ours = fit_transform("whiten", rows(), shrinkage=0.0)(rows())
    theirs = torch.from_numpy(PCA(whiten=True).fit_transform(unit.numpy()))
    theirs = normalize(theirs, dim=1)
    torch.testing.assert_close(ours @ ours.T, theirs @ theirs.T, atol=1e-2, rtol=0)


@pytest.mark.parametrize(("count", "width"), [(4, 6), (5, 300)])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_some_components_to_a_power_against_scikit_learn(count, width, power):
    """Many narrow rows, and few wide ones, whose directions are found by their inner products."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(200, width, generator=draw) * torch.logspace(0.7, -1, width) + 1
    unit = normalize(x, dim=1).double().numpy()
    pca = PCA(n_components=count, svd_solver="full").fit(unit)
    theirs = pca.transform(unit) / (pca.explained_variance_ * 199 / 200) ** (power / 2)
    theirs = normalize(torch.from_numpy(theirs), dim=1).float()
    ours = fit_transform("whiten", x, components=count, power=power, shrinkage=0.0)(x)
    assert ours.shape == (200, count)
    torch.testing.assert_close(ours @ ours.T, theirs @ theirs.T, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("rows", "width", "count", "most"), [(10, 40, 20, 9), (10, 40, 41, 9), (40, 10, 11, 10)])
def test_more_components_than_the_rows_have_directions(rows, width, count, most):
    told = f"^head.components {count}: {rows} training rows of {width} numbers have at most {most}; set it lower$"
    with pytest.raises(HeadError, match=told):
        fit_transform("whiten", torch.randn(rows, width), components=count)


@pytest.mark.parametrize("components", [None, 3])
def test_rows_that_are_all_the_same_have_nothing_to_whiten(components):
    rows = torch.randn(1, 6).expand(20, 6)
    told = "^head.transform whiten: all 20 training rows are the same; set it to none, or see why$"
    with pytest.raises(HeadError, match=told):
        fit_transform("whiten", rows, components=components)


def test_rows_that_come_twice_span_fewer_directions():
    """The others are still different ones, not the first again, blown up."""
    x = torch.randn(5, 60, generator=torch.Generator().manual_seed(0)).repeat(8, 1)
    basis = normalize(fit_transform("whiten", x, components=20, power=0.5).matrix, dim=0)
    torch.testing.assert_close(basis.T @ basis, torch.eye(20), atol=1e-5, rtol=0)


def test_center_removes_the_mean_and_keeps_unit_length():
    out = fit_transform("center", rows())(rows())
    torch.testing.assert_close(out.norm(dim=1), torch.ones(200))
    unit = normalize(rows(), dim=1)
    expected = normalize(unit - unit.mean(0), dim=1)
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("kind", ["none", "l2", "center", "whiten"])
def test_constant_column_and_zero_row_stay_finite(kind):
    x = rows()
    x[:, 2] = 4.0
    x[0] = 0.0
    assert torch.isfinite(fit_transform(kind, x)(x)).all()


def test_principal_axes_are_orthonormal_with_a_fixed_sign():
    axes = principal_axes(rows(), 4)
    torch.testing.assert_close(axes.T @ axes, torch.eye(4), atol=1e-5, rtol=0)
    assert (axes.gather(0, axes.abs().argmax(0, keepdim=True)) > 0).all()


@pytest.mark.parametrize("count", [1, 6, 10])
def test_axes_of_few_wide_rows_equal_those_of_the_wide_matrix(count):
    x = torch.randn(10, 40, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, -1, 40)
    axes, oracle = principal_axes(x, count), torch.linalg.eigh(x.double().T @ x.double())[1].flip(1)[:, :count]
    torch.testing.assert_close(axes.T @ axes, torch.eye(count), atol=1e-4, rtol=0)
    torch.testing.assert_close((axes.double().T @ oracle).abs(), torch.eye(count).double(), atol=1e-3, rtol=0)


def test_axes_past_the_rank_of_few_wide_rows_are_orthonormal():
    x = torch.randn(1, 40, generator=torch.Generator().manual_seed(0)).expand(10, -1)
    axes = principal_axes(x, 5)
    torch.testing.assert_close(axes.T @ axes, torch.eye(5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("noise", [0, 1e-7, 1e-4])
def test_axes_of_rows_that_are_nearly_the_same_are_orthonormal(seed, noise):
    """Half of the columns zero: in float32 a third of these matrices has no eigenvectors, or NaN in them."""
    random = torch.Generator().manual_seed(seed)
    x = torch.rand(1, 512, generator=random).repeat(600, 1) + noise * torch.randn(600, 512, generator=random)
    x[:, torch.rand(512, generator=random) < 0.5] = 0
    axes = principal_axes(x, 16)
    torch.testing.assert_close(axes.T @ axes, torch.eye(16), atol=1e-4, rtol=0)
