"""A small images.parquet whose groups can be learned: each has a pattern, on which every image adds noise."""

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SPLITS = ("train",) * 5 + ("val",) * 2 + ("test",)


def write_groups(path: Path, *, groups: int = 6, side: int = 16, grey: bool = False, noise: int = 60) -> Path:
    """Eight images a group: five of train, two of val, one of test."""
    rng = np.random.default_rng(3)
    images, names, splits = [], [], []
    for group in range(groups):
        pattern = rng.integers(60, 196, (side, side, 1 if grey else 3))
        for split in SPLITS:
            pixels = np.clip(pattern + rng.integers(-noise, noise + 1, pattern.shape), 0, 255).astype(np.uint8)
            buffer = BytesIO()
            Image.fromarray(pixels[:, :, 0] if grey else pixels).save(buffer, "PNG")
            images.append(buffer.getvalue())
            names.append(f"g{group}")
            splits.append(split)
    table = pa.table(
        {
            "id": [f"picture-{row:03}" for row in range(len(images))],
            "image": pa.array(images, pa.binary()),
            "group": names,
            "role": pa.array([None] * len(images), pa.string()),
            "split": splits,
            "seen": [True] * len(images),
            "sha256": [hashlib.sha256(image).hexdigest() for image in images],
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=7)
    return path


def write_picture_folder(folder: Path, *, groups: int, images: int, side: int = 16) -> Path:
    """Such pictures as <folder>/<group>/<number>.png."""
    rng = np.random.default_rng(3)
    for group in range(groups):
        pattern = rng.integers(60, 196, (side, side, 3))
        (folder / f"g{group}").mkdir()
        for number in range(images):
            pixels = np.clip(pattern + rng.integers(-60, 61, pattern.shape), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"g{group}" / f"{number}.png")
    return folder
