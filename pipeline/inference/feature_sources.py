"""The one place where the name of a feature set becomes the networks that make such features.

The sidecar beside the features says what made them, so a head is used with what it was trained on, whatever params.yaml
has become since.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from features.backbones.registry import LoadedBackbone, load_backbone
from features.errors import FeatureError
from features.settings import Backbone, Concatenation
from features.storage.features_files import Sidecar, read_sidecar

NAMES_NOTHING = "its sidecar names no network of this version; run `dvc repro --force`"


@dataclass(frozen=True)
class FeatureSource:
    """One network of a feature set; `weight` is the length of its features beside those of other parts."""

    name: str
    entry: Backbone  # what the network is, or what it was before it was trained here
    network: LoadedBackbone  # of the one view that heads see, a single one or the average of several
    provenance: dict  # of its sidecar
    weight: float = 1.0


@dataclass(frozen=True)
class FeatureSet:
    """What makes the features `name`: one part, or the two of a concatenation side by side."""

    name: str
    parts: tuple[FeatureSource, ...]
    width: int  # D

    @property
    def weights(self) -> tuple[float, float]:
        """Of the two parts of a concatenation."""
        first, second = self.parts
        return first.weight, second.weight

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
    if "concatenation" not in sidecar.provenance:
        return FeatureSet(name, (_part(features / name, sidecar),), sidecar.shape[-1])
    try:
        entry = Concatenation.model_validate(sidecar.provenance["concatenation"])
        parts = list(zip(entry.features, entry.weights, sidecar.provenance["parts"], strict=True))
    except (KeyError, TypeError, ValueError):
        raise FeatureError(f"{features / name}: {NAMES_NOTHING}") from None
    sources = []
    for part, weight, digest in parts:
        its_sidecar = read_sidecar(features / part)
        if its_sidecar.npy_sha256 != digest:
            raise FeatureError(f"{features / part}: not the features that '{name}' was made of; run `dvc repro`")
        sources.append(_part(features / part, its_sidecar, weight))
    return FeatureSet(name, tuple(sources), sidecar.shape[-1])


def _part(folder: Path, sidecar: Sidecar, weight: float = 1.0) -> FeatureSource:
    name, provenance = folder.name, sidecar.provenance
    try:
        entry, weights = _entries(folder, provenance)
    except (KeyError, TypeError, ValidationError):
        raise FeatureError(f"{folder}: {NAMES_NOTHING}") from None
    network = load_backbone(name, weights)
    for what, now in (("weights_sha256", network.weights_sha256), ("preprocess", network.preprocess.describe())):
        if provenance.get(what) != now:
            raise FeatureError(
                f"{name}: other {what.partition('_')[0]} than when its features were made; put those back, or "
                f"delete {folder} and run `dvc repro`"
            )
    network = network if network.average else replace(network, flip=False, crops=0)
    return FeatureSource(name, entry, network, provenance, weight)


def _entries(folder: Path, provenance: dict) -> tuple[Backbone, Backbone]:
    """What the sidecar names, and what to load: the same, or what `finetune` made of it."""
    if "finetune" not in provenance:
        entry = Backbone.model_validate(provenance["backbone"])
        return entry, entry
    entry = Backbone.model_validate(provenance["finetune"]["network"])
    path = folder.parents[1] / "networks" / folder.name / "network.safetensors"
    trained = {"library": "local", "model": "trained", "weights": str(path), "pixels": None, "output": "global"}
    return entry, Backbone.model_validate(entry.model_dump() | trained)
