"""The scratch cache of features: finished shards, looked up by the content of each image.

A shard holds the features of some images beside the sha256 of their bytes; its file name is its own sha256. A repeated
run reuses all finished shards after an interruption, and the features of all old images after some were added. A file
that is damaged or cut off is ignored. The folder may be deleted at any time.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from data.files.atomic import write_bytes
from features.errors import FeatureError
from features.storage.features_files import RowWriter

NAME_LENGTH = 40  # hex digits of a sha256


def shard_folder(root: Path, provenance: Mapping[str, Any]) -> Path:
    """The folder of the shards that `provenance` (backbone, weights, preprocessing, versions, device, code) decides."""
    key = hashlib.sha256(json.dumps(provenance, sort_keys=True).encode()).hexdigest()
    return root / "features" / key[:NAME_LENGTH]


def digests(sha256: np.ndarray) -> np.ndarray:
    """Hex strings (N,) -> (N,) of 32 bytes each, to compare and search."""
    return np.array([bytes.fromhex(text) for text in sha256], dtype="S32")


def write_shard(folder: Path, keys: np.ndarray, features: np.ndarray) -> None:
    """Save `features` (n, V, D) float16 of the images `keys` (n,), whole or not at all."""
    content = save({"keys": keys.view(np.uint8).reshape(len(keys), 32), "features": features})
    write_bytes(folder / f"{hashlib.sha256(content).hexdigest()[:NAME_LENGTH]}.safetensors", content)


def read_shards(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (keys (n,), features (n, V, D) float16) of every shard, one at a time; damaged ones are deleted."""
    for path in sorted(folder.glob("*.safetensors")):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest()[:NAME_LENGTH] == path.stem:
            try:
                shard = load(content)
                yield np.ascontiguousarray(shard["keys"]).view("S32").ravel(), shard["features"]
                continue
            except (SafetensorError, KeyError):
                pass
        with suppress(OSError):  # a cache that may only be read
            path.unlink()


def missing_rows(folder: Path, keys: np.ndarray) -> np.ndarray:
    """Rows (m,) of `keys` (N,) that no shard has, ascending; of equal images the first row only."""
    unique, first = np.unique(keys, return_index=True)
    known = np.zeros(len(unique), bool)
    for shard_keys, _ in read_shards(folder):
        known |= np.isin(unique, shard_keys)
    return np.sort(first[~known])


def feature_shape(folder: Path) -> tuple[int, int]:
    """(V, D) of the shards in `folder`."""
    for _, features in read_shards(folder):
        return features.shape[1:]
    raise FeatureError(f"{folder}: no shard left: something deletes the cache while it is in use; run again")


def fill(folder: Path, keys: np.ndarray, writer: RowWriter) -> None:
    """Write the features of every image to its rows; equal images share theirs."""
    fill_from(read_shards(folder), keys, writer)


def fill_from(shards: Iterable[tuple[np.ndarray, np.ndarray]], keys: np.ndarray, writer: RowWriter) -> None:
    """The same from shards as `read_shards` yields them."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    for shard_keys, features in shards:
        start, stop = (np.searchsorted(ordered, shard_keys, side) for side in ("left", "right"))
        source = np.repeat(np.arange(len(shard_keys)), stop - start)
        if not len(source):
            continue
        rows = np.concatenate([order[a:b] for a, b in zip(start, stop, strict=True)])
        ascending = np.argsort(rows)
        values = features[source[ascending]]
        writer.write(rows[ascending], values.reshape(len(rows), *writer.shape[1:]))
