"""The identity of a result, beside its code: the params that decide it, and files of the user's own.

Params are compared as they differ from their defaults, so that a key that is added later with a default leaves older
results valid. A renamed key does not: convert the committed csv files then.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from data.catalogue import find_dataset
from data.files.atomic import sha256_bytes
from data.settings import CATALOGUE_PATH
from features.settings import Backbone
from pipeline.params import Params

PLACES = ("mirror", "path")  # where data lie, not what they are


def settings_hash(experiments: list[Params]) -> str:
    """Hash of a row's params, 12 hex digits: the same wherever data and weights lie."""
    parts = [row_identity(params) for params in experiments]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def row_identity(params: Params) -> dict[str, Any]:
    """The params that decide a result, without places: the same on every machine."""
    kept = _identity(params)
    kept["data"] = {key: value for key, value in kept["data"].items() if key not in PLACES}
    for entry in kept["backbones"].values():
        entry.pop("weights", None)
    return kept


def result_identity(params: Params) -> dict[str, Any]:
    """The params that decide a result, and the sizes and times of the user's own weights and images."""
    kept = _identity(params)
    if not find_dataset(params.data.name).user_supplied:  # a published data set is the same everywhere
        kept["data"] = {key: value for key, value in kept["data"].items() if key not in PLACES}
    states = local_states(params)
    return kept | ({"files": states} if states else {})


def head_parts(params: Params) -> tuple[str, ...]:
    """The feature sets behind the head's: two if it is a concatenation, else itself."""
    both = params.concatenations.get(params.head.features)
    return both.features if both else (params.head.features,)


def networks(params: Params) -> dict[str, Backbone]:
    """The networks behind the head's features by name; a trained one goes by the name of its finetune."""
    trained = params.finetunes
    return {part: trained[part].network if part in trained else params.backbones[part] for part in head_parts(params)}


def local_states(params: Params) -> dict[str, str]:
    """place -> hash of the sizes and times of the files there: own weights and images may change under one path."""
    places = [place for entry in networks(params).values() if (place := Path(entry.weights).expanduser()).is_file()]
    if (
        find_dataset(params.data.name).user_supplied
        and params.data.path != CATALOGUE_PATH
        and params.data.path.exists()
    ):
        places.append(params.data.path)
    if params.head.of_user:
        places.append(Path(params.head.code))
    return {str(place): _state(place) for place in places}


def _identity(params: Params) -> dict[str, Any]:
    return {
        "seed": params.seed,
        "data": {"name": params.data.name, **_dumped(params.data)},
        "backbones": {name: _dumped(entry) for name, entry in networks(params).items()},
        "dtype": params.features.dtype,
        "concatenations": {name: _dumped(entry) for name, entry in params.concatenations.items()},
        "finetunes": {name: _dumped(entry) for name, entry in params.finetunes.items()},
        "head": _dumped(params.head),
        "scores": _dumped(params.scores),
    }


def _dumped(settings: BaseModel) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude_defaults=True)


def _state(place: Path) -> str:
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    stats = [(str(file.relative_to(place)), file.stat()) for file in files if file.is_file()]
    return sha256_bytes(json.dumps([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]).encode())
