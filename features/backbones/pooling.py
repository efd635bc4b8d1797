"""Maps of a network, or its patch tokens, to one vector: means and standard deviations over a grid of cells."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from features.errors import FeatureError

TINY = 1e-12  # a variance


class GridPool(nn.Module):
    """(B, C, H, W) -> (B, C * cells * cells): the mean of each cell, as in the Totally Looks Like report."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, maps: Tensor) -> Tensor:
        return adaptive_avg_pool2d(maps, self.cells).flatten(1)


class StagePool(nn.Module):
    """K maps (B, C_k, H_k, W_k) -> (B, D), the sum of C_k * cells * cells: each grid of length 1, side by side.

    With `std_pool` twice as many: after the means of a map come the standard deviations of its cells, of length 1 again
    (statistics pooling: Snyder et al. 2018, "X-vectors", section 2.1).
    """

    def __init__(self, cells: int, *, std_pool: bool = False) -> None:
        super().__init__()
        self.grid, self.std_pool = GridPool(cells), std_pool

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return torch.cat([normalize(part.float(), dim=1) for each in maps for part in self._parts(each)], 1)

    def _parts(self, maps: Tensor) -> list[Tensor]:
        return [self.grid(maps), deviations(maps.float(), self.grid.cells)] if self.std_pool else [self.grid(maps)]


def deviations(maps: Tensor, cells: int) -> Tensor:
    """(B, C, H, W) -> (B, C * cells * cells): the standard deviation within each cell of `adaptive_avg_pool2d`."""
    rows, columns = (
        [slice(i * size // cells, -(-(i + 1) * size // cells)) for i in range(cells)] for size in maps.shape[2:]
    )
    # Cell by cell: the mean of squares minus the square of the mean would lose a small variance in float32.
    cut = [maps[:, :, row, column] for row in rows for column in columns]
    variances = torch.stack([cell.var((2, 3), correction=0) for cell in cut], 2).flatten(1)
    # Constant cells map to 0; the square root is not taken there, because its gradient is infinite at 0.
    return torch.where(variances > TINY, variances.clamp(min=TINY).sqrt(), 0.0)


def check_stages(stages: Sequence[int], count: int, where: str) -> None:
    """
    Raises:
        FeatureError: a stage beyond the last of a network with `count` stages.
    """
    if stages[-1] >= count:
        raise FeatureError(f"{where}.stages: no stage {stages[-1]}; this network has 0 to {count - 1}")
