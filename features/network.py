"""A network ready to extract, and the one place that knows which library builds it."""

import importlib
from dataclasses import dataclass
from importlib.metadata import version

from torch import nn

from features.preprocess import Preprocess
from features.settings import Backbone


@dataclass(frozen=True)
class Network:
    """`module`: (B, 3, S, S) normalised images -> (B, D). In eval mode, float32, on the CPU."""

    module: nn.Module
    preprocess: Preprocess
    weights_sha256: str
    convolutional: bool  # runs faster in channels_last


# library -> (our module, the distributions whose version can change the numbers)
LIBRARIES = {
    "timm": ("features.from_timm", ("timm",)),
    "torchvision": ("features.from_torchvision", ()),
    "open_clip": ("features.from_open_clip", ("open_clip_torch", "timm")),
}


def load_network(name: str, entry: Backbone) -> Network:
    """The network of the catalogue's entry `name`; only its own library is imported.

    Raises:
        FeatureError: one line that starts with `backbones.<name>`.
    """
    return importlib.import_module(LIBRARIES[entry.library][0]).load(entry, f"backbones.{name}")


def versions(entry: Backbone) -> dict[str, str]:
    """Versions of everything that can change the numbers."""
    names = ("torch", "torchvision", "pillow", *LIBRARIES[entry.library][1])
    return {name: version(name) for name in sorted(names)}
