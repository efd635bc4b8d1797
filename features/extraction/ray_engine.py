"""Extraction on all machines of a Ray cluster, an optional extra (`pip install "ray[data]"`): the same features.

Each Ray worker builds the network once and runs whole shards, cut as the local engine cuts them; the features come back
to this process, which writes them into the scratch cache. images.parquet must have the same path on every machine (a
shared file system), and so must a checkpoint named by its path.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from features.backbones.registry import load_backbone
from features.errors import FeatureError, one_line
from features.extraction.extract import SHARD, extract_rows
from features.extraction.replicas import Compute
from features.extraction.shards import write_shard
from features.settings import Backbone


class ShardRunner:
    """One process of the cluster: it builds the network once and computes shards."""

    def __init__(self, source: Path, ids: Sequence[str], name: str, entry: Backbone, compute: Compute) -> None:
        self.source, self.ids, self.compute = source, ids, compute
        self.network = load_backbone(name, entry)

    def __call__(self, shard: dict[str, Any]) -> dict[str, Any]:
        """{"rows": (n,)} -> the same and "features" (n, V, D) float16, or an "error" of one line."""
        rows = np.asarray(shard["rows"])
        try:
            blocks = extract_rows(self.source, self.ids, rows, self.network, compute=self.compute)
            return {"rows": rows, "features": np.concatenate([features for _, features in blocks]), "error": ""}
        except FeatureError as error:
            return {"rows": rows, "features": np.zeros((0, 1, 1), np.float16), "error": str(error)}


def extract_shards_with_ray(
    source: Path,
    ids: Sequence[str],
    keys: np.ndarray,
    rows: np.ndarray,
    *,
    name: str,
    entry: Backbone,
    compute: Compute,
    folder: Path,
    progress: Callable[[int], None],
) -> None:
    """As `extract_shards`, on the Ray cluster that is running, else on one of this machine alone.

    Raises:
        FeatureError: Ray is not installed; or what `extract_shards` raises.
    """
    try:
        import ray
    except ImportError as error:
        raise FeatureError(
            f"features.engine: ray is not installed ({one_line(error)}); pip install 'ray[data]', or set it to local"
        ) from None
    size = SHARD * compute.batch
    shards = [{"rows": rows[start : start + size]} for start in range(0, len(rows), size)]
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    gpus = 0 if compute.on_cpu else len(compute.devices)
    done = ray.data.from_items(shards, override_num_blocks=len(shards)).map(
        ShardRunner,  # pyright: ignore[reportArgumentType]: Ray takes a class too, its annotation only a function
        fn_constructor_args=(source.resolve(), list(ids), name, entry, compute),
        num_cpus=max(1, compute.workers),
        num_gpus=gpus,
        concurrency=(1, max(1, len(shards))),
    )
    for shard in done.iter_rows():
        if shard["error"]:
            raise FeatureError(shard["error"])
        write_shard(folder, keys[shard["rows"]], np.asarray(shard["features"], np.float16))
        progress(len(shard["rows"]))
