"""Images to features: processes decode, replicas of the network compute, finished shards are kept in the cache."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from features.backbones.registry import LoadedBackbone
from features.extraction.float16 import to_float16
from features.extraction.loader import load_images
from features.extraction.replicas import Compute, inference_module, run_replicas
from features.extraction.shards import write_shard
from features.freed_memory import return_freed_memory

SHARD = 32  # batches: 512 images on a CPU, 8192 on a GPU


def extract_shards(
    source: Path,
    ids: Sequence[str],
    keys: np.ndarray,
    rows: np.ndarray,
    *,
    network: LoadedBackbone,
    compute: Compute,
    folder: Path,
    progress: Callable[[int], None],
) -> None:
    """Run `rows` (m,) of images.parquet `source` through the network and leave their features as shards in `folder`.

    `ids` (N,) name the images in errors, `keys` (N,) are the digests of their content. Shards are cut from `rows` in
    order and written in order: an interrupted run that is repeated gets the same shards and batches.

    Raises:
        FeatureError: an image that does not decode; a feature that is NaN or too large for float16, by image id.
    """
    size = SHARD * compute.batch
    unsaved: list[np.ndarray] = []
    done = 0
    for batch_rows, features in extract_rows(source, ids, rows, network, compute=compute):
        unsaved.append(features)
        done += len(batch_rows)
        if done % size == 0 or done == len(rows):
            start = (done - 1) // size * size
            write_shard(folder, keys[rows[start:done]], np.concatenate(unsaved))
            unsaved.clear()
        progress(len(batch_rows))


def extract_rows(
    source: Path, ids: Sequence[str], rows: np.ndarray, network: LoadedBackbone, *, compute: Compute
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rows, features (b, V, D) float16) for `rows` (m,) of `source`, in order. Errors as `extract_shards`."""
    batches = [rows[start : start + compute.batch] for start in range(0, len(rows), compute.batch)]
    # Both before the workers fork: afterwards each page that is written to is copied, which took up to 3 s.
    module = inference_module(network, compute)
    return_freed_memory()
    loaded = load_images(
        source,
        batches,
        preprocess=network.preprocess,
        crops=network.crops,
        workers=compute.workers,
        pin_memory=not compute.on_cpu,
    )
    for batch_rows, features in zip(batches, run_replicas(module, network, compute, loaded), strict=True):
        yield batch_rows, to_float16(features, lambda place, rows=batch_rows: f"image '{ids[rows[place]]}'")
