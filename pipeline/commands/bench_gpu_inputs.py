"""What the parts of `bench gpu` work on and measure with."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from data.cores import cores
from data.files.atomic import sha256_bytes
from features.backbones.registry import LoadedBackbone
from features.extraction.extract import extract_rows
from features.extraction.precision import forward_dtype
from features.extraction.replicas import CPU_BATCH, GPU_BATCH, Compute
from pipeline.devices import devices

Emit = Callable[..., None]  # emit(table, **columns)


class Failed(Exception):
    """A tolerance that does not hold."""


class Missing(Exception):
    """What a part needs is not installed."""


@dataclass(frozen=True)
class Sizes:
    """How much work a part does: on a card, or where the command itself is tried."""

    seconds: float
    images: int
    rows: int
    queries: int
    gallery: int
    groups: int
    rounds: int


FULL = Sizes(seconds=4, images=512, rows=20_000, queries=10_000, gallery=100_000, groups=200, rounds=5)
SMALL = Sizes(seconds=0.1, images=24, rows=3000, queries=50, gallery=500, groups=24, rounds=2)


def compute_here(*, batch: int | None = None, on: torch.device | None = None) -> Compute:
    machine = (on,) if on else tuple(devices())
    usual = CPU_BATCH if machine[0].type == "cpu" else GPU_BATCH
    return Compute(machine, forward_dtype("auto", machine[0]), batch=batch or usual, workers=cores())


def all_features(source: Path, network: LoadedBackbone, rows: np.ndarray, compute: Compute) -> Tensor:
    """(n, D) float32, of float16 as they are stored."""
    blocks = [half for _, half in extract_rows(source, [str(row) for row in rows], rows, network, compute=compute)]
    return torch.from_numpy(np.concatenate(blocks)[:, 0]).float()


def cosine(left: Tensor, right: Tensor) -> float:
    """The least cosine of a row (n, D) with the row at its place."""
    return round(torch.cosine_similarity(left.double().cpu(), right.double().cpu()).min().item(), 7)


def jpeg(rng: np.random.Generator, pattern: np.ndarray | None = None) -> bytes:
    """A picture of 256 pixels: smooth colours, those of `pattern` (6, 6, 3) with some of its own."""
    cells = rng.random((6, 6, 3)) if pattern is None else 0.5 * pattern + 0.5 * rng.random((6, 6, 3))
    buffer = BytesIO()
    picture = Image.fromarray((255 * cells).astype(np.uint8)).resize((256, 256), Image.Resampling.BICUBIC)
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write_images(path: Path, blobs: list[bytes]) -> Path:
    """As much of images.parquet as extraction reads."""
    columns = {
        "id": [str(row) for row in range(len(blobs))],
        "image": pa.array(blobs, pa.binary()),
        "sha256": [sha256_bytes(blob) for blob in blobs],
    }
    pq.write_table(pa.table(columns), path, row_group_size=64)
    return path


def grouped_features(rows: int, width: int) -> tuple[Tensor, np.ndarray]:
    """(rows, width) float32 and their groups, ten rows each."""
    rng = np.random.default_rng(0)
    labels = np.arange(rows) // 10
    signal = rng.normal(size=(labels[-1] + 1, width))[labels]
    return torch.from_numpy((signal + 2 * rng.normal(size=(rows, width))).astype(np.float32)), labels
