"""A network ready to extract, and the one place that knows which library builds it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from features.backbones.preprocess import Preprocess
from features.errors import FeatureError, one_line
from features.settings import Backbone

TINY = 1e-12  # a variance


@dataclass(frozen=True)
class LoadedBackbone:
    """`module`: (B, 3, S, S) normalised images -> (B, D). In eval mode, float32, on the CPU."""

    module: nn.Module
    preprocess: Preprocess
    weights_sha256: str
    convolutional: bool  # runs faster in channels_last, with its batch norms fused
    flip: bool = False
    crops: int = 0
    average: bool = False  # of the views


# Distributions whose version can change the numbers, beside torch, torchvision (resizes) and pillow (decodes).
DISTRIBUTIONS = {"timm": ("timm",), "torchvision": (), "open_clip": ("open_clip_torch", "timm")}
DISTRIBUTIONS["local"] = DISTRIBUTIONS["open_clip"]  # a network trained here may be of either


def load_backbone(name: str, entry: Backbone, *, section: str = "backbones") -> LoadedBackbone:
    """The network of the catalogue's entry `name`; only its own library is imported.

    Raises:
        FeatureError: one line that starts with `<section>.<name>`.
    """
    match entry.library:
        case "timm":
            from features.backbones.timm import load
        case "torchvision":
            from features.backbones.torchvision import load
        case "open_clip":
            from features.backbones.open_clip import load
        case "local":
            from features.backbones.local import load
    where = f"{section}.{name}"
    try:
        network = load(entry, where)
    except (FeatureError, ImportError):
        raise
    except Exception as error:
        if not Path(entry.weights).expanduser().is_file():
            raise
        raise FeatureError(  # a file of someone else's may raise nearly every type there is
            f"{where}.weights: {entry.weights} cannot be loaded as {entry.model} ({one_line(error, 80)}); give the "
            "weights of the named model"
        ) from error
    if entry.weights != "random":
        _check_finite(network.module, f"{where}.weights: {entry.weights}")
    own = {key: value for key in ("mean", "std", "interpolation") if (value := getattr(entry, key)) is not None}
    if own:
        network = replace(network, preprocess=replace(network.preprocess, **own))
    return replace(network, flip=entry.flip, crops=entry.crops, average=entry.average)


def _check_finite(network: nn.Module, where: str) -> None:
    """
    Raises:
        FeatureError: a weight is NaN or infinite. A single infinite number is a bound that is off, as timm has them.
    """
    for name, value in network.state_dict().items():
        if value.isnan().any() or (value.ndim and value.isinf().any()):
            raise FeatureError(
                f"{where}: {name} is not finite: the file is damaged, or its training diverged; copy it anew, or give "
                "other weights"
            )


class GridPool(nn.Module):
    """(B, C, H, W) -> (B, C * cells * cells): the mean of each cell: as in the Totally Looks Like report."""

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
    # What does not vary has length 0, as a map without life has; and at 0 a root's slope is infinite.
    return torch.where(variances > TINY, variances.clamp(min=TINY).sqrt(), 0.0)


def check_stages(stages: Sequence[int], count: int, where: str) -> None:
    """
    Raises:
        FeatureError: a stage that a network of `count` stages has not.
    """
    if stages[-1] >= count:
        raise FeatureError(f"{where}.stages: no stage {stages[-1]}; this network has 0 to {count - 1}")


def versions(entry: Backbone) -> dict[str, str]:
    """Versions of everything that can change the numbers."""
    names = ("torch", "torchvision", "pillow", *DISTRIBUTIONS[entry.library])
    return {name: version(name) for name in sorted(names)}
