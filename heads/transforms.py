"""What is done to features before a head sees them, fitted on the training rows only."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

Kind = Literal["none", "l2", "center", "standardize", "whiten"]


class Transform(nn.Module):
    """x (..., D) -> (..., D): `(x - mean) @ basis` or `(x - mean) * scale`, on unit vectors, and back to unit length.

    none         x
    l2           x / |x|
    center       unit vectors minus their mean, again of unit length
    standardize  every column to mean 0 and standard deviation 1
    whiten       PCA whitening: unit vectors, rotated to uncorrelated columns of equal variance, of unit length
    """

    def __init__(self, kind: Kind, mean: Tensor, matrix: Tensor) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("mean", mean)
        self.register_buffer("matrix", matrix)  # (D,) scale, (D, D) basis, or empty

    def forward(self, x: Tensor) -> Tensor:
        match self.kind:
            case "none":
                return x
            case "l2":
                return normalize(x, dim=-1)
            case "center":
                return normalize(normalize(x, dim=-1) - self.mean, dim=-1)
            case "standardize":
                return (x - self.mean) * self.matrix
            case "whiten":
                return normalize((normalize(x, dim=-1) - self.mean) @ self.matrix, dim=-1)


def fit_transform(kind: Kind, train: Tensor, *, shrinkage: float = 1e-2) -> Transform:
    """Fit on `train` (N, D) float32.

    `shrinkage`, relative to the mean variance, is added to every variance before whitening: directions that the
    training rows hardly use would otherwise be blown up to the size of real ones.
    """
    empty = torch.empty(0)
    if kind in ("none", "l2"):
        return Transform(kind, empty, empty)
    if kind == "standardize":
        return Transform(kind, train.mean(0), 1 / train.std(0, correction=0).clamp(min=1e-6))
    unit = normalize(train, dim=-1)
    mean = unit.mean(0)
    if kind == "center":
        return Transform(kind, mean, empty)
    covariance = ((unit - mean).T.double() @ (unit - mean).double()) / len(unit)
    variance, basis = torch.linalg.eigh(covariance)
    variance = variance.clamp(min=0) + shrinkage * variance.mean()
    return Transform(kind, mean, (basis / variance.sqrt()).float())


def principal_axes(x: Tensor, count: int) -> Tensor:
    """The `count` directions of largest second moment of x (N, D), orthonormal: (D, count).

    Not centred, so that projecting on them keeps inner products, and with them cosines, as far as `count` allows.
    """
    if count <= len(x) < x.shape[1]:  # of few wide rows the (N, N) inner products know the same: D / N cubed as fast
        variance, left = torch.linalg.eigh((x @ x.T) / len(x))
        if variance[-count] > 1e-6 * variance[-1]:  # else the rows do not span that many directions
            return _signed(normalize(x.T @ left.flip(1)[:, :count], dim=0))
    _, basis = torch.linalg.eigh((x.T @ x) / len(x))
    return _signed(basis.flip(1)[:, :count])


def _signed(axes: Tensor) -> Tensor:
    # An eigenvector's sign is arbitrary and differs between machines: make the largest entry positive.
    signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return axes * signs
