"""Transforms of features before a head, fitted on the training rows only."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from heads.errors import HeadError

Kind = Literal["none", "l2", "center", "whiten"]


class Transform(nn.Module):
    """x (..., D) -> (..., D), or (..., K) of K components.

    none    x
    l2      x / |x|
    center  unit vectors minus their mean, again of unit length
    whiten  PCA whitening: unit vectors on their principal directions, each divided by its standard deviation (or a
            power of it), of unit length
    """

    mean: Tensor
    matrix: Tensor  # (D, K) basis, or empty

    def __init__(self, kind: Kind, mean: Tensor, matrix: Tensor) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("mean", mean)
        self.register_buffer("matrix", matrix)

    def forward(self, x: Tensor) -> Tensor:
        match self.kind:
            case "none":
                return x
            case "l2":
                return normalize(x, dim=-1)
            case "center":
                return normalize(normalize(x, dim=-1) - self.mean, dim=-1)
            case _:  # whiten
                return normalize((normalize(x, dim=-1) - self.mean) @ self.matrix, dim=-1)


def fit_transform(
    kind: Kind, train: Tensor, *, components: int | None = None, power: float = 1.0, shrinkage: float = 1e-2
) -> Transform:
    """Fit on `train` (N, D) float32.

    Args:
        components: of whitening: so many principal directions, those of largest variance; none: all D.
        power: of the standard deviation that each is divided by; 1 makes them equal, 0 only rotates. Whitening lowers
            the weight of directions that many images share (Jegou and Chum, "Negative evidences and co-occurences
            in image retrieval: the benefit of PCA and whitening", 2012); 0.5 amplifies less noise of the smallest.
        shrinkage: relative to the mean variance of these, is added to every variance before whitening: directions of
            almost no variance in the training rows would otherwise be scaled up to that of the others.

    Raises:
        HeadError: more components than the training rows have directions, or equal rows, which cannot be whitened.
    """
    empty = torch.empty(0)
    if kind in ("none", "l2"):
        return Transform(kind, empty, empty)
    unit = normalize(train, dim=-1)
    mean = unit.mean(0)
    if kind == "center":
        return Transform(kind, mean, empty)
    rows, width = unit.shape
    most, count = min(rows - 1, width), components or width
    if count > most and count != width:
        raise HeadError(
            f"head.components {count}: {rows} training rows of {width} numbers have at most {most}; set it lower"
        )
    variance, basis = _principal((unit - mean).double(), count, tiny=1e-9)
    if variance[0] < 1e-12:  # rounding of equal unit vectors in float32
        raise HeadError(f"head.transform whiten: all {rows} training rows are the same; set it to none, or see why")
    variance = variance.clamp(min=0) + shrinkage * variance.clamp(min=0).mean()
    return Transform(kind, mean, (basis / variance ** (power / 2)).float())


def principal_axes(x: Tensor, count: int) -> Tensor:
    """The `count` directions of largest second moment of x (N, D), orthonormal: (D, count).

    Not centred, so that projecting on them keeps inner products, and with them cosines, as far as `count` allows.
    """
    return _principal(x, count, tiny=1e-6)[1]


def _principal(x: Tensor, count: int, *, tiny: float) -> tuple[Tensor, Tensor]:
    """The largest second moments (count,) of x (N, D), and their directions (D, count), orthonormal.

    `tiny`: a share of the largest moment that is rounding in x's dtype.
    """
    if (
        count <= len(x) < x.shape[1]
    ):  # fewer rows than columns: from the (N, N) inner products it is (D / N) cubed as fast
        moments, left = _eigh((x @ x.T) / len(x))
        if moments[-count] > tiny * moments[-1]:  # else the rows do not span that many directions
            return moments.flip(0)[:count], _signed(normalize(x.T @ left.flip(1)[:, :count], dim=0))
    moments, axes = _eigh((x.T @ x) / len(x))
    return moments.flip(0)[:count], _signed(axes.flip(1)[:, :count])


def _eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and eigenvectors of a symmetric matrix.

    Raises:
        HeadError: the decomposition does not converge.
    """
    for precise in (matrix, matrix.double()):  # float32 fails for rows that are nearly equal
        try:
            values, vectors = torch.linalg.eigh(precise)
        except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]: documented, but not in __all__
            continue
        if vectors.isfinite().all():
            return values.to(matrix.dtype), vectors.to(matrix.dtype)
    raise HeadError("features have no principal directions: are nearly all images the same?")


def _signed(axes: Tensor) -> Tensor:
    # An eigenvector's sign is arbitrary and differs between machines: make the largest entry positive.
    signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return axes * signs
