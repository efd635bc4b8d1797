"""Images to features, at the speed of the hardware: processes decode, lanes compute, results come by row."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from features import lanes
from features.errors import FeatureError
from features.loader import load_squares
from features.network import Network

CPU_BATCH, GPU_BATCH = 8, 256  # a CPU's caches hold the activations of few images: 8 is twice as fast as 64


def extract_rows(
    source: Path,
    ids: Sequence[str],
    rows: np.ndarray,
    network: Network,
    *,
    devices: Sequence[torch.device],
    dtype: torch.dtype,
    batch: int,
    workers: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rows, features (b, D) float16) for `rows` (n,) of images.parquet `source`, `batch` at a time, in order.

    Raises:
        FeatureError: an image that does not decode; a feature that is NaN or too large for float16, by image id.
    """
    batches = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    loaded = load_squares(
        source,
        batches,
        preprocess=network.preprocess,
        workers=workers,
        pin_memory=devices[0].type == "cuda",
    )
    computed = lanes.run(lanes.make_lanes(network, devices, dtype), network, loaded, batch)
    for these, features in zip(batches, computed, strict=True):
        with np.errstate(over="ignore"):
            half = features.astype(np.float16)
        bad = ~np.isfinite(half).all(1)
        if bad.any():
            first = int(bad.argmax())
            what = "beyond float16's 65504" if np.isfinite(features[first]).all() else "NaN or infinite"
            raise FeatureError(
                f"image '{ids[these[first]]}': its features are {what}; set features.dtype to float32, "
                f"or look at the weights and the image"
            )
        yield these, half
