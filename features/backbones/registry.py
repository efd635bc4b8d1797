"""An entry of `backbones` as a network with its preprocessing, whatever library builds it."""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from torch import nn

from features.backbones.libraries import import_library
from features.backbones.preprocess import Preprocess
from features.errors import FeatureError, one_line
from features.settings import Backbone


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


def load_backbone(name: str, entry: Backbone, *, section: str = "backbones") -> LoadedBackbone:
    """The network of the catalogue's entry `name`; only its own library is imported.

    Raises:
        FeatureError: one line that starts with `<section>.<name>`.
    """
    where = f"{section}.{name}"
    try:
        network = import_library(entry.library).load(entry, where)
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


def versions(entry: Backbone) -> dict[str, str]:
    """Versions of everything that can change the numbers."""
    names = ("torch", "torchvision", "pillow", *import_library(entry.library).DISTRIBUTIONS)
    return {name: version(name) for name in sorted(names)}
