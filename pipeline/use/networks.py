"""The one place where the name of a feature set becomes the networks that make such features.

The sidecar beside the features says what made them, so a head is used with what it was trained on, whatever params.yaml
has become since.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from features.errors import FeatureError
from features.network import Network, load_network
from features.settings import Backbone, Fusion
from features.store import Sidecar, read_sidecar


@dataclass(frozen=True)
class Part:
    """One network of a feature set; `weight` is the length of its features beside those of other parts."""

    name: str
    network: Network
    made_by: dict  # of its sidecar
    weight: float = 1.0


@dataclass(frozen=True)
class FeatureSet:
    """What makes the features `name`: one part, or the two of a fusion side by side."""

    name: str
    parts: tuple[Part, ...]
    width: int  # D

    @property
    def fused(self) -> bool:
        return len(self.parts) > 1


def find_networks(features: Path, name: str, *, npy_sha256: str) -> FeatureSet:
    """The networks that made `features`/`name`, checked against its sidecar.

    Args:
        features: artifacts/<dataset>/features
        npy_sha256: of the array that the head was trained on.

    Raises:
        FeatureError: other features lie there than the head was trained on, or their network cannot be had any more.
    """
    sidecar = read_sidecar(features / name)
    if sidecar.npy_sha256 != npy_sha256:
        raise FeatureError(f"{features / name}: not the features that the head was trained on; run `dvc repro`")
    if "fusion" not in sidecar.made_by:
        return FeatureSet(name, (_part(name, sidecar),), sidecar.shape[-1])
    fusion = Fusion.model_validate(sidecar.made_by["fusion"])
    parts = []
    for part, weight, digest in zip(fusion.features, fusion.weights, sidecar.made_by["parts"], strict=True):
        found = read_sidecar(features / part)
        if found.npy_sha256 != digest:
            raise FeatureError(f"{features / part}: not the features that '{name}' was fused of; run `dvc repro`")
        parts.append(_part(part, found, weight))
    return FeatureSet(name, tuple(parts), sidecar.shape[-1])


def _part(name: str, sidecar: Sidecar, weight: float = 1.0) -> Part:
    made_by = sidecar.made_by
    network = _load(name, made_by)
    for what, now in (("weights_sha256", network.weights_sha256), ("preprocess", network.preprocess.describe())):
        if made_by.get(what) != now:
            kind = what.partition("_")[0]
            raise FeatureError(
                f"backbones.{name}: other {kind} than when the features were made; put those back, or "
                f"`dvc repro -f extract@{name}` and train again"
            )
    return Part(name, network, made_by, weight)


def _load(name: str, made_by: dict) -> Network:
    try:
        return load_network(name, Backbone.model_validate(made_by["backbone"]))
    except (KeyError, ValidationError):
        raise FeatureError(
            f"features/{name}: its sidecar names no network of this version; run `dvc repro -f extract@{name}`"
        ) from None
