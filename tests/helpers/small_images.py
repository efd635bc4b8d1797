"""A small images.parquet: pictures whose content differs, in the columns of ARCHITECTURE.md."""

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def encode(seed: int, size: tuple[int, int] = (40, 30)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def write_images(path: Path, images: list[bytes], *, row_group: int = 4) -> Path:
    count = len(images)
    table = pa.table(
        {
            "id": [f"picture-{row}" for row in range(count)],
            "image": pa.array(images, pa.binary()),
            "group": [f"g{row // 2}" for row in range(count)],
            "role": pa.array(["left", "right"] * (count // 2) + ["left"] * (count % 2), pa.string()),
            "split": ["train"] * count,
            "seen": [True] * count,
            "sha256": [hashlib.sha256(image).hexdigest() for image in images],
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=row_group)
    return path
