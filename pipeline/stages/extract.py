"""`python -m pipeline extract NAME`: images.parquet -> features/NAME/."""

import time
from functools import partial

from data.rows import read_rows
from features.engine_ray import extract_shards_with_ray
from features.extract import extract_shards
from features.shards import cache_root, digests, feature_shape, fill, missing_rows, shard_folder
from features.store import new_features
from pipeline.extraction import code_sha256, make_ready
from pipeline.params import Params
from pipeline.paths import dataset_folder, features_folder
from pipeline.progress import progress


def run(params: Params, name: str) -> None:
    """Turn every image into a vector with the backbone `name` and save them with their sidecar."""
    source = dataset_folder(params) / "images.parquet"
    images = read_rows(source)
    ready = make_ready(params, name)
    device = ready.compute.devices[0].type
    code = code_sha256(params.backbones[name].library)
    shards = shard_folder(cache_root(), {**ready.made_by, "device": device, "code": code})
    ids, keys, images_hash = images.id, digests(images.sha256), images.images_hash
    del images  # strings of every row: what a million images would notice
    missing = missing_rows(shards, keys)
    start = time.perf_counter()
    if params.features.engine == "ray":
        run_engine = partial(extract_shards_with_ray, name=name, entry=params.backbones[name])
    else:
        run_engine = partial(extract_shards, network=ready.network)
    if len(missing):
        with progress(len(missing), f"extract {name}") as advance:
            run_engine(source, ids, keys, missing, compute=ready.compute, folder=shards, progress=advance)
    seconds = time.perf_counter() - start
    views, width = feature_shape(shards)
    shape = (len(keys), width) if views == 1 else (len(keys), views, width)
    folder = features_folder(params, name)
    with new_features(folder, shape, images_hash=images_hash, made_by=ready.made_by) as writer:
        fill(shards, keys, writer)
    count = len(ready.compute.devices)
    speed = f"{len(missing) / seconds:.0f} images/s on {count} {device}" if len(missing) else "all of them known"
    print(f"extract {name}: {len(keys)} images, {len(missing)} run, {speed} -> {folder} {list(shape)}")
