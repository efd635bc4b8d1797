"""Heads that embed: linear, mlp, residual and pseudo_class."""

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import softmax

from heads.models.base import Builder, Head, HeadInputs
from heads.models.layers import MLP, linear
from heads.models.transforms import principal_axes
from heads.settings import HeadSettings


class LinearHead(Head):
    """x W + b. Starts at the projection `start` (D, E), see `pca_init`."""

    def __init__(self, start: Tensor, settings: HeadSettings, rng: Generator) -> None:
        super().__init__(settings.distance)
        width, out = start.shape
        self.project = linear(width, out, rng, start=start)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(x)


class MLPHead(Head):
    """A linear path plus an MLP whose last layer starts at zero, so that it starts as `linear` does."""

    def __init__(self, start: Tensor, settings: HeadSettings, rng: Generator) -> None:
        super().__init__(settings.distance)
        width, out = start.shape
        self.project = linear(width, out, rng, start=start)
        self.mlp = MLP(width, out, settings, rng, last_scale=0.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(x) + self.mlp(x)


class ResidualHead(Head):
    """x + gate * mlp(x). The gate starts at zero (ReZero, Bachlechner et al. 2021), so the initial similarity is the
    cosine of the inputs.
    """

    def __init__(self, width: int, settings: HeadSettings, rng: Generator) -> None:
        super().__init__(settings.distance)
        self.mlp = MLP(width, width, settings, rng, last_scale=1.0)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gate * self.mlp(x)


class PseudoClassHead(Head):
    """Softmax over `dim` pseudo-classes; similarity is the cosine of two softmax vectors.

    The "CL" head of the Tiny ImageNet siamese report.
    """

    def __init__(self, width: int, out: int, settings: HeadSettings, rng: Generator) -> None:
        super().__init__("cosine")
        self.mlp = MLP(width, out, settings, rng, last_scale=1.0)

    def forward(self, x: Tensor) -> Tensor:
        return softmax(self.mlp(x), dim=-1)


def pca_init(width: int, out: int, train: Tensor | None) -> Tensor:
    """Initial weights (width, out) of a linear projection: the identity if `out` is `width`, else the principal axes of
    the training rows `train` (N, width), with zero columns past `width`; zeros without `train`.

    So the initial similarity is the cosine of the inputs, as closely as `out` dimensions allow.
    """
    if out == width:
        return torch.eye(width)
    start = torch.zeros(width, out)
    if train is not None:
        start[:, : min(out, width)] = principal_axes(train, min(out, width))
    return start


def _start(given: HeadInputs) -> Tensor:
    return pca_init(given.width, given.out, None) if given.start is None else given.start


HEADS: dict[str, Builder] = {
    "identity": lambda given: Head(given.settings.distance),
    "linear": lambda given: LinearHead(_start(given), given.settings, given.rng),
    "mlp": lambda given: MLPHead(_start(given), given.settings, given.rng),
    "residual": lambda given: ResidualHead(given.width, given.settings, given.rng),
    "pseudo_class": lambda given: PseudoClassHead(given.width, given.out, given.settings, given.rng),
}
