"""Raw pixels in memory (MNIST's, CIFAR's) as a source of PNG images."""

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.source import Item, Source


def array_source(
    parts: Sequence[tuple[str, NDArray[np.uint8], Sequence[str]]], group_level: str, notes: tuple[str, ...] = ()
) -> Source:
    """`parts`: (train or test, images (N, H, W) or (N, H, W, 3), the group of each); ids are `train/00000`."""
    items = [
        Item(id=f"{part}/{index:05d}", group=group, part=part)
        for part, _, groups in parts
        for index, group in enumerate(groups)
    ]
    starts = np.cumsum([0] + [len(images) for _, images, _ in parts])

    def read(indices: Iterable[int]) -> Iterator[bytes]:
        for index in indices:
            part = int(np.searchsorted(starts, index, "right")) - 1
            yield png(parts[part][1][index - starts[part]])

    return Source(items=items, read=read, group_level=group_level, notes=notes)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """(H, W) or (H, W, 3) as PNG. Level 1 is half the time of the default, for files a tenth larger."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
