"""What stages share that extract: a network, how this machine runs it, its provenance, and the extraction itself."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data.cores import cores
from data.errors import did_you_mean
from data.files.cache import cache_root
from data.tables.rows import read_rows
from features.backbones.libraries import MODULES, Library
from features.backbones.registry import LoadedBackbone, load_backbone, versions
from features.extraction.precision import dtype_name, forward_dtype
from features.extraction.replicas import CPU_BATCH, GPU_BATCH, Compute
from features.extraction.shards import digests, feature_shape, fill, missing_rows, shard_folder
from features.settings import Backbone, ComputeSettings
from features.storage.features_files import new_features
from pipeline.devices import device, devices
from pipeline.errors import ParamError
from pipeline.fingerprint import TOP, fingerprint, import_closure
from pipeline.params import Params
from pipeline.paths import dataset_folder, features_folder
from pipeline.progress import progress

# What turns the bytes of an image into features, beside the one module that loads networks of a library.
FORWARD = "features/extraction/extract.py"
LIBRARIES = "features/backbones/libraries.py"  # names all of them
LOADERS = {library: f"{module.replace('.', '/')}.py" for library, module in MODULES.items()}


@dataclass(frozen=True)
class Extractor:
    """A network, how this machine runs it, and what its features' sidecar says of it."""

    network: LoadedBackbone
    compute: Compute
    provenance: dict[str, Any]  # for the sidecar


@dataclass(frozen=True)
class ExtractionResult:
    """The features directory that was written, and its cost."""

    folder: Path
    shape: tuple[int, ...]  # (N, D), or (N, V, D)
    computed: int  # images that went through the network; the scratch cache had the others
    seconds: float  # of their forward passes


def load_extractor(params: Params, name: str) -> Extractor:
    """Load the backbone `name` for this machine.

    Raises:
        ParamError: no such name. FeatureError: weights that cannot be had.
    """
    if name not in params.backbones:
        raise ParamError(f"params.yaml: no backbone '{name}' in backbones{did_you_mean(name, params.backbones)}")
    entry = params.backbones[name]
    network, dtype = load_backbone(name, entry), forward_dtype(params.features.dtype, device())
    compute = compute_here(dtype=dtype, settings=params.features)
    return Extractor(
        network, compute, {"backbone": entry.model_dump(mode="json")} | provenance(network, entry, compute)
    )


def compute_here(*, dtype: torch.dtype, settings: ComputeSettings | None = None) -> Compute:
    """How this machine runs a network in `dtype`: on all its devices; `settings` may limit its cores."""
    settings = settings or ComputeSettings()
    machine = tuple(devices())
    return Compute(
        devices=machine,
        dtype=dtype,
        batch=settings.batch or (CPU_BATCH if machine[0].type == "cpu" else GPU_BATCH),
        workers=cores() if settings.workers is None else settings.workers,
        compile=settings.compile,
    )


def provenance(network: LoadedBackbone, entry: Backbone, compute: Compute) -> dict[str, Any]:
    """What decides the features of `network`, for the sidecar; beside it goes what the network was made from."""
    return {
        "weights_sha256": network.weights_sha256,
        "preprocess": network.preprocess.describe(),
        "views": ["average of: " + ", ".join(entry.views)] if entry.average else entry.views,
        "device": compute.devices[0].type,
        "dtype": dtype_name(compute.dtype),
        "versions": versions(entry),
    }


def write_features(
    params: Params, name: str, extractor: Extractor, *, code: str, engine: Callable[..., None]
) -> ExtractionResult:
    """Features of every image of the data set -> features/`name`/; images in the scratch cache are not computed again.

    Args:
        code: sha256 of what turns images into numbers, see `extraction_fingerprint`.
        engine: `extract_shards` or `extract_shards_with_ray` with its network: fills the scratch cache.
    """
    source = dataset_folder(params) / "images.parquet"
    images = read_rows(source)
    ids, keys, images_hash = images.id, digests(images.sha256), images.images_hash
    del images  # strings of every row: what a million images would notice
    shards = scratch_shards(extractor.provenance, extractor.compute, code=code)
    missing = missing_rows(shards, keys)
    start = time.perf_counter()
    if len(missing):
        with progress(len(missing), f"extract {name}") as advance:
            engine(source, ids, keys, missing, compute=extractor.compute, folder=shards, progress=advance)
    seconds = time.perf_counter() - start
    views, width = feature_shape(shards)
    shape = (len(keys), width) if views == 1 else (len(keys), views, width)
    folder = features_folder(params, name)
    with new_features(folder, shape, images_hash=images_hash, provenance=extractor.provenance) as writer:
        fill(shards, keys, writer)
    return ExtractionResult(folder, shape, len(missing), seconds)


def scratch_shards(provenance: Mapping[str, Any], compute: Compute, *, code: str) -> Path:
    """Where the scratch cache keeps what these settings, this code and this kind of device make."""
    return shard_folder(cache_root(), {**provenance, "device": compute.devices[0].type, "code": code})


def extraction_fingerprint(library: Library, *, top: Path = TOP) -> str:
    """The version of the code that makes the features of a backbone of `library`; code of other libraries is left out.

    It belongs in the key of the scratch cache, where numbers of older code must not be found, and not in the sidecar:
    code that was only tidied gives equal features, and their directory must stay equal for the stages after it.
    """
    others = other_loaders(library, top=top)
    return fingerprint(FORWARD, *(set(LOADERS.values()) - others), top=top, without=others)


def other_loaders(library: Library, *, top: Path = TOP) -> set[str]:
    """Modules that load networks of other libraries, without which a backbone of `library` gives the same features."""
    if library == "local":  # a network trained here may be of any
        return set()
    return set(LOADERS.values()) - import_closure(LOADERS[library], top=top, without=[LIBRARIES])
