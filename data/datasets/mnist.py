"""MNIST and Fashion-MNIST: four gzipped idx files (a big-endian header, then bytes)."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.datasets.arrays import array_source
from data.datasets.source import Source
from data.errors import DataError
from data.files.bounded import read_gzip

_MAX_UNPACKED = 128 << 20  # bytes; the largest published file holds 47 MB

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def idx(archives: Mapping[str, Path], names: Sequence[str]) -> Source:
    """`names[label]` is the group of an image.

    Raises:
        DataError: a file is broken, or images and labels do not fit.
    """
    parts = []
    for part, (images_name, labels_name) in FILES.items():
        images = read_idx(archives[images_name])
        labels = read_idx(archives[labels_name])
        if images.ndim != 3 or 0 in images.shape[1:] or labels.ndim != 1 or len(images) != len(labels):
            raise DataError(f"{archives[images_name]}: {images.shape} images do not fit {labels.shape} labels")
        if labels.max(initial=0) >= len(names):
            raise DataError(f"{archives[labels_name]}: label {labels.max()}, there are {len(names)} classes")
        parts.append((part, images, [names[label] for label in labels]))
    return array_source(parts, "class")


def read_idx(path: Path) -> NDArray[np.uint8]:
    """A gzipped idx file of unsigned bytes, in the shape that its header says.

    Raises:
        DataError: not gzip, not idx, cut off or too long.
    """
    raw = read_gzip(path, _MAX_UNPACKED)
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or not 1 <= raw[3] <= 3 or len(raw) < 4 + 4 * raw[3]:
        raise DataError(f"{path}: not an idx file of unsigned bytes")
    shape = struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]])
    pixels = np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * raw[3])
    if pixels.size != int(np.prod(shape, dtype=object)):
        raise DataError(f"{path}: {pixels.size} bytes, its header says {'x'.join(map(str, shape))}")
    return pixels.reshape(shape)
