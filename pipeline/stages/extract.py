"""`python -m pipeline extract NAME`: images.parquet -> features/NAME/."""

import os
import time

import numpy as np

from data.rows import read_rows
from features.extract import CPU_BATCH, GPU_BATCH, extract_rows
from features.lanes import forward_dtype
from features.network import load_network, versions
from features.store import new_features
from pipeline.devices import devices
from pipeline.errors import ParamError, nearest
from pipeline.params import Params
from pipeline.paths import dataset_folder, features_folder
from pipeline.progress import progress


def run(params: Params, name: str) -> None:
    """Turn every image into a vector with the backbone `name` and save them with their sidecar."""
    if name not in params.backbones:
        raise ParamError(f"params.yaml: no backbone '{name}' in backbones; {nearest(name, params.backbones)}")
    entry, settings = params.backbones[name], params.features
    source = dataset_folder(params) / "images.parquet"
    images = read_rows(source)
    network = load_network(name, entry)
    machine = devices()
    dtype = forward_dtype(settings.dtype, machine[0])
    made_by = {
        "backbone": entry.model_dump(mode="json"),
        "weights_sha256": network.weights_sha256,
        "preprocess": network.preprocess.describe(),
        "dtype": str(dtype).removeprefix("torch."),
        "versions": versions(entry),
    }
    start, count = time.perf_counter(), len(images.id)
    blocks = extract_rows(
        source,
        images.id,
        np.arange(count),
        network,
        devices=machine,
        dtype=dtype,
        batch=settings.batch or (GPU_BATCH if machine[0].type == "cuda" else CPU_BATCH),
        workers=len(os.sched_getaffinity(0)) if settings.workers is None else settings.workers,
    )
    first_rows, first = next(blocks)
    folder = features_folder(params, name)
    with (
        new_features(folder, (count, *first.shape[1:]), images_hash=images.images_hash, made_by=made_by) as writer,
        progress(count, f"extract {name}") as advance,
    ):
        writer.write(first_rows, first)
        advance(len(first_rows))
        for rows, features in blocks:
            writer.write(rows, features)
            advance(len(rows))
    seconds = time.perf_counter() - start
    print(
        f"extract {name}: {count} images to {'x'.join(str(n) for n in writer.shape[1:])} numbers each on "
        f"{len(machine)} {machine[0].type}, {count / seconds:.0f} images/s -> {folder}"
    )
