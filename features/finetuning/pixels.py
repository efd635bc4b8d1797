"""The training images as uint8 pixels: decoded once, kept on the device if they fit, else mapped from a file."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.files.sealed_files import SHA256, is_whole, sealed_file
from features.backbones.preprocess import Preprocess
from features.extraction.loader import load_images

BATCH = 256  # images decoded at once
SHARE = 0.5  # of a GPU's free memory that images may take


@dataclass(frozen=True)
class Pixels:
    """n images, `images` (n, C, S, S) uint8 (C = 1 if all are greyscale); row `r` of the data set is `place[r]`."""

    images: Tensor  # on the device, or in a mapped file
    place: Tensor  # (N,) int64, beside `images`
    device: torch.device

    def take(self, rows: Tensor) -> Tensor:
        """Rows (B,) -> (B, C, S, S) uint8 on the device."""
        return self.images[self.place[rows.to(self.place.device)]].to(self.device, non_blocking=True)


def load_pixels(
    source: Path,
    rows: np.ndarray,
    *,
    total: int,
    preprocess: Preprocess,
    cache: Path,
    key: str,
    workers: int,
    device: torch.device,
    progress: Callable[[int], None] = lambda images: None,
) -> Pixels:
    """The images of `rows` (n,) of images.parquet `source`, which has `total` rows.

    They are decoded unless `cache` has a file under `key` (the images and the code that decodes them). On a CPU the
    file is memory-mapped: the system keeps in memory what fits.

    Raises:
        FeatureError: as `load_images`.
    """
    path = _cached(source, rows, preprocess, cache / f"{key[:40]}", workers, progress)
    side, count = preprocess.size, len(rows)
    channels = (path.stat().st_size - SHA256) // max(1, count * side * side)
    images = torch.from_file(str(path), shared=False, size=count * channels * side * side, dtype=torch.uint8)
    images = images.view(count, channels, side, side)
    if device.type == "cuda" and images.numel() <= SHARE * torch.cuda.mem_get_info(device)[0]:
        images = images.to(device)
    place = torch.full((total,), -1)
    place[torch.from_numpy(rows)] = torch.arange(count)
    return Pixels(images, place.to(images.device), device)


def pixels_key(images_hash: str, rows: np.ndarray, preprocess: Preprocess, code: str) -> str:
    """Hash of all that decides the content of the file."""
    parts = (images_hash, hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest(), repr(preprocess.describe()), code)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _cached(
    source: Path, rows: np.ndarray, preprocess: Preprocess, stem: Path, workers: int, progress: Callable[[int], None]
) -> Path:
    """The file, with one channel if all images are greyscale (they are decoded as RGB), else with three."""
    one = len(rows) * preprocess.size**2
    for channels in (1, 3):
        path = stem.with_name(f"{stem.name}-{channels}.u8")
        if path.is_file() and path.stat().st_size == channels * one + SHA256 and is_whole(path):
            return path
    for channels in (1, 3):
        path = stem.with_name(f"{stem.name}-{channels}.u8")
        with suppress(_ColourFound):
            _decode(source, rows, preprocess, path, channels, workers, progress)
            return path
    raise AssertionError("three channels hold any image")


class _ColourFound(Exception):
    """In images of which one channel is to be kept."""


def _decode(
    source: Path,
    rows: np.ndarray,
    preprocess: Preprocess,
    path: Path,
    channels: int,
    workers: int,
    progress: Callable[[int], None],
) -> None:
    """Write the images and their sha256 to `path`.

    Raises:
        _ColourFound: `channels` is 1 and an image is not grey.
    """
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    loaded = load_images(source, batches, preprocess=preprocess, crops=0, workers=workers, pin_memory=False)
    with sealed_file(path) as file:
        for images in loaded:
            images = images[:, 0]
            if channels == 1:
                if not torch.equal(images, images[:, :1].expand_as(images)):
                    raise _ColourFound
                images = images[:, :1]
            file.write(images.contiguous().numpy().data)
            progress(len(images))
