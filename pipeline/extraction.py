"""What `extract`, `verify` and `bench` share: a backbone made ready from params, and what its sidecar says."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.lanes import CPU_BATCH, GPU_BATCH, Compute, forward_dtype
from features.network import Network, load_network, versions
from pipeline.devices import devices
from pipeline.errors import ParamError, nearest
from pipeline.params import Params

TOP = Path(__file__).parents[1]
# The modules that turn the bytes of an image into numbers, beside `features/from_<library>.py`.
CODE = (
    "data/decode.py",
    "features/extract.py",
    "features/fold.py",
    "features/lanes.py",
    "features/loader.py",
    "features/network.py",
    "features/preprocess.py",
    "features/weights.py",
)
# What else a library's networks are made of; a network trained here may be of any.
MORE_CODE = {
    "lookalike": (
        "features/from_open_clip.py",
        "features/from_timm.py",
        "features/from_torchvision.py",
        "features/small_networks.py",
        "features/trainable.py",
    )
}


@dataclass(frozen=True)
class Ready:
    network: Network
    compute: Compute
    made_by: dict[str, Any]  # for the sidecar


def make_ready(params: Params, name: str) -> Ready:
    """Load the backbone `name` for this machine.

    Raises:
        ParamError: no such name. FeatureError: weights that cannot be had.
    """
    if name not in params.backbones:
        raise ParamError(f"params.yaml: no backbone '{name}' in backbones; {nearest(name, params.backbones)}")
    entry, settings = params.backbones[name], params.features
    network, machine = load_network(name, entry), tuple(devices())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    compute = Compute(
        devices=machine,
        dtype=forward_dtype(settings.dtype, machine[0]),
        batch=settings.batch or (CPU_BATCH if machine[0].type == "cpu" else GPU_BATCH),
        workers=cores if settings.workers is None else settings.workers,
        compile=settings.compile,
    )
    made_by = {
        "backbone": entry.model_dump(mode="json"),
        "weights_sha256": network.weights_sha256,
        "preprocess": network.preprocess.describe(),
        "views": ["average of: " + ", ".join(entry.views)] if entry.average else entry.views,
        "dtype": str(compute.dtype).removeprefix("torch."),
        "versions": versions(entry),
    }
    return Ready(network, compute, made_by)


def code_sha256(library: str, *, top: Path = TOP) -> str:
    """sha256 over the sources that decide the numbers of a backbone of `library`.

    It belongs in the key of the scratch cache, where numbers of older code must not be found, and not in the sidecar:
    code that was only tidied gives equal features, and their directory must stay equal for the stages after it.
    """
    digest = hashlib.sha256()
    for name in (*CODE, f"features/from_{library}.py", *MORE_CODE.get(library, ())):
        digest.update(hashlib.sha256((top / name).read_bytes()).digest())
    return digest.hexdigest()
